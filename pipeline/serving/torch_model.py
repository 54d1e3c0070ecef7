"""A classifier in a PyTorch folder, opened for inference."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.compute import distributed
from pipeline.compute.batching import TOKENS, Inputs, budget_batches, collate, encode
from pipeline.models import pair_encoder
from pipeline.models.classes import class_names
from pipeline.models.forward_shortcuts import last_layer_first_token_only
from pipeline.models.ids import check_ids, check_numbering
from pipeline.models.loading import load_classifier, load_tokenizer
from pipeline.models.positions import max_positions
from pipeline.serving.onnx_model import UNLIMITED

logger = logging.getLogger(__name__)

Runner = Callable[[Inputs], np.ndarray]
"""Maps a padded batch to logits, or predicted numbers, float32, (texts, outputs)."""


@dataclass(frozen=True)
class ServedModel:
    """A classifier with its transformers tokenizer, ready for inference."""

    run: Runner
    tokenizer: PreTrainedTokenizerFast
    names: list[str]
    """The classes in order; empty for regression."""
    max_length: int
    """Number of tokens to which texts are truncated."""
    pairs: bool | None = None
    """Whether it reads pairs; None if unknown."""

    def outputs(self, texts: list[str], pairs: list[str] | None) -> np.ndarray:
        """Logits, or predicted numbers, of texts or pairs in their order, (texts, outputs)."""
        encoded = encode(self.tokenizer, texts, pairs, self.max_length)
        batches = budget_batches(encoded.lengths, TOKENS)
        outputs = np.concatenate([self.run(collate(encoded, rows)) for rows in batches])
        return outputs[np.argsort(np.concatenate(batches))]


def open_torch(folder: Path, key: str) -> ServedModel:
    """Open a PyTorch folder; texts are truncated to the most tokens that the model takes.

    Raises InputError if there is no model, or it is damaged or not a classifier.
    """
    model = load_classifier(folder, key)
    tokenizer = load_tokenizer(folder, key)
    check_ids(tokenizer, model.config, key)
    check_numbering(model.config, key)
    max_length = min(tokenizer.model_max_length, max_positions(model, UNLIMITED))
    device = distributed.device()
    logger.info("%s: PyTorch on %s", folder, device)
    pairs = True if model.config.model_type == pair_encoder.MODEL_TYPE else None
    return ServedModel(torch_runner(model, device), tokenizer, class_names(model.config), max_length, pairs)


def torch_runner(model: PreTrainedModel, device: torch.device) -> Runner:
    """A runner of a PyTorch model on a device."""
    model.to(device).eval()

    def run(batch: Inputs) -> np.ndarray:
        with torch.inference_mode(), last_layer_first_token_only(model):
            return model(**{name: values.to(device) for name, values in batch.items()}).logits.float().cpu().numpy()

    return run
