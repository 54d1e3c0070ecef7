"""A saved classifier, PyTorch or ONNX, loaded for inference."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.addresses.hub import one_line
from pipeline.compute import distributed
from pipeline.compute.batching import Batch, collate, encode, length_batches
from pipeline.errors import InputError
from pipeline.models.compatibility import check_ids, check_numbering
from pipeline.models.forward_shortcuts import last_layer_first_token_only
from pipeline.models.loading import load_classifier, load_tokenizer, quiet
from pipeline.models.positions import max_positions
from pipeline.storage.checksums import check_sums

logger = logging.getLogger(__name__)

ONNX = "model.onnx"
"""File name that marks a model folder as ONNX."""
PAIRS_KEY = "text_pairs"
"""Key in the config of an ONNX folder: whether the model reads pairs."""
UNLIMITED = 100_000
"""Maximum length in tokens for a model that accepts any length."""
Runner = Callable[[Batch], np.ndarray]
"""Maps a padded batch to logits, or predicted numbers, float32, (texts, outputs)."""


@dataclass(frozen=True)
class ServedModel:
    """A classifier with its tokenizer, ready for inference."""

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
        batches = length_batches(encoded.lengths, tokens=2048)
        outputs = np.concatenate([self.run(collate(encoded, rows)) for rows in batches])
        return outputs[np.argsort(np.concatenate(batches))]


def open_folder(folder: Path, key: str) -> ServedModel:
    """Load a model folder of PyTorch, or one of ONNX that the stage `export` wrote.

    An ONNX model truncates texts to the maximum length of the run that exported it, a PyTorch model to its own.

    Raises InputError if there is no model, or it is damaged or not a classifier.
    """
    check_sums(folder, key, weights=False)
    if not (folder / ONNX).is_file():
        model = load_classifier(folder, key)
        tokenizer = load_tokenizer(folder, key)
        check_ids(tokenizer, model.config, key)
        check_numbering(model.config, key)
        max_length = min(tokenizer.model_max_length, max_positions(model.config, UNLIMITED))
        device = distributed.device()
        logger.info("%s: PyTorch on %s", folder, device)
        return ServedModel(torch_runner(model, device), tokenizer, class_names(model.config), max_length)
    check_sums(folder, key, weights=True)
    from transformers import AutoConfig, AutoTokenizer

    try:
        with quiet():
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        run = onnx_runner(folder / ONNX)
    except Exception as error:
        raise InputError(f"{key}: {folder} cannot be loaded ({type(error).__name__}: {one_line(error)})") from error
    check_ids(tokenizer, config, key)
    check_numbering(config, key)
    logger.info("%s: ONNX Runtime on the CPU", folder)
    return ServedModel(
        run, tokenizer, class_names(config), tokenizer.model_max_length, getattr(config, PAIRS_KEY, None)
    )


def class_names(config: object) -> list[str]:
    """The classes of a model's config in order; empty for regression."""
    names: dict[int, str] = config.id2label  # type: ignore[attr-defined]
    return [names[index] for index in range(len(names))] if len(names) > 1 else []


def torch_runner(model: PreTrainedModel, device: torch.device) -> Runner:
    """A runner of a PyTorch model on a device."""
    model.to(device).eval()

    def run(batch: Batch) -> np.ndarray:
        with torch.inference_mode(), last_layer_first_token_only(model):
            return model(**{name: values.to(device) for name, values in batch.items()}).logits.float().cpu().numpy()

    return run


def onnx_runner(file: Path) -> Runner:
    """A runner of an ONNX file on the CPU, with as many threads as PyTorch uses."""
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    # Otherwise idle threads would spin while they wait for the next text, and slow down everything else.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    inputs = [each.name for each in session.get_inputs()]

    def run(batch: Batch) -> np.ndarray:
        return session.run(["logits"], {name: batch[name].numpy() for name in inputs})[0]

    return run
