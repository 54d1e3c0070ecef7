"""A classifier's outputs for texts: no gradients, no waste on padding, in the order the texts came."""

from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.compute import distributed
from pipeline.compute.batching import Batch, collate, encode, length_batches
from pipeline.compute.progress import track
from pipeline.data.texts import Texts
from pipeline.models.forward_shortcuts import last_layer_at_first


@dataclass(frozen=True)
class Prepared:
    """Texts as padded batches on the device, built once for as many passes as are wanted."""

    rows: list[np.ndarray]
    """Of each batch, where in the texts its rows stand."""
    batches: list[Batch]


def prepare(
    tokenizer: PreTrainedTokenizerFast, texts: Texts, max_length: int, *, tokens: int | None = None
) -> Prepared:
    """Encode texts into batches of at most `tokens` tokens, padding included; by default what suits the device."""
    place = distributed.device()
    if tokens is None:
        # An accelerator wants many rows at once.
        tokens = 2048 if place.type == "cpu" else 65536
    encoded = encode(tokenizer, texts.texts, texts.pairs, max_length)
    rows = length_batches(encoded.lengths, tokens=tokens)
    return Prepared(rows, [{name: value.to(place) for name, value in collate(encoded, row).items()} for row in rows])


@torch.inference_mode()
def outputs(model: PreTrainedModel, prepared: Prepared, what: str | None = None) -> np.ndarray:
    """Run the model once over prepared texts: logits, or the predicted number, float32, (texts, outputs).

    The model is left in the mode it was in.

    Args:
        what: says what the progress bar is about; without it there is none.
    """
    training = model.training
    model.to(distributed.device()).eval()
    batches = prepared.batches if what is None else track(prepared.batches, what)
    with last_layer_at_first(model):
        given = [model(**batch).logits.float() for batch in batches]
    model.train(training)
    order = np.argsort(np.concatenate(prepared.rows))
    return torch.cat(given).cpu().numpy()[order]


def predict(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, texts: Texts, max_length: int, what: str | None = None
) -> np.ndarray:
    """Encode texts and run the model over them: logits, or the predicted number, float32, (texts, outputs)."""
    return outputs(model, prepare(tokenizer, texts, max_length), what)
