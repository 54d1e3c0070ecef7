"""A classifier's outputs for texts, in their order: without gradients and with little padding."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.compute import distributed
from pipeline.compute.batching import TOKENS, Inputs, budget_batches, collate, encode
from pipeline.compute.progress import track
from pipeline.data.texts import Texts
from pipeline.models.forward_shortcuts import last_layer_first_token_only


@dataclass(frozen=True)
class PaddedBatches:
    """Texts as padded batches on the device, built once for any number of forward passes."""

    rows: list[np.ndarray]
    """Of each batch, the positions of its rows in the texts."""
    batches: list[Inputs]


def padded_batches(tokenizer: PreTrainedTokenizerFast, texts: Texts, max_length: int) -> PaddedBatches:
    """Encode texts into batches of texts of similar length."""
    device = distributed.device()
    encoded = encode(tokenizer, texts.texts, texts.pairs, max_length)
    # An accelerator is efficient with many rows at once.
    rows = budget_batches(encoded.lengths, TOKENS if device.type == "cpu" else 65536)
    return PaddedBatches(rows, [collate(encoded, row, device) for row in rows])


@torch.inference_mode()
def outputs(
    model: PreTrainedModel,
    padded: PaddedBatches,
    description: str | None = None,
    inside: Callable[[int], AbstractContextManager[None]] | None = None,
) -> np.ndarray:
    """Run the model once over texts: logits, or the predicted number, float32, (texts, outputs).

    The model stays in training or evaluation mode.

    Args:
        description: label of the progress bar; without it there is none.
        inside: by the position of a batch, the context in which the model reads it.
    """
    training = model.training
    model.to(distributed.device()).eval()
    batches = padded.batches if description is None else track(padded.batches, description)
    with last_layer_first_token_only(model):
        logits = []
        for position, batch in enumerate(batches):
            with nullcontext() if inside is None else inside(position):
                logits.append(model(**batch).logits.float())
    model.train(training)
    order = np.argsort(np.concatenate(padded.rows))
    return torch.cat(logits).cpu().numpy()[order]


def predict(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    texts: Texts,
    max_length: int,
    description: str | None = None,
) -> np.ndarray:
    """Encode texts and run the model over them: logits, or the predicted number, float32, (texts, outputs)."""
    return outputs(model, padded_batches(tokenizer, texts, max_length), description)
