"""A saved classifier ready to answer, be it of PyTorch or ONNX."""

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
from pipeline.models.compatibility import check_ids, check_numbering, longest
from pipeline.models.forward_shortcuts import last_layer_at_first
from pipeline.models.loading import load_classifier, load_tokenizer, quiet
from pipeline.storage.checksums import check_sums

ONNX = "model.onnx"
"""What makes a model folder one of ONNX."""
PAIRS = "text_pairs"
"""Where the config of such a folder says whether the model reads pairs."""
MOST = 100_000
"""Tokens of a text for a model that takes any number."""
Run = Callable[[Batch], np.ndarray]
"""From a padded batch to logits, or the predicted number, float32, (texts, outputs)."""


@dataclass(frozen=True)
class Served:
    """A classifier with its tokenizer."""

    run: Run
    tokenizer: PreTrainedTokenizerFast
    names: list[str]
    """The classes in order; empty if it predicts a number."""
    max_length: int
    """Tokens that texts are cut to."""
    pairs: bool | None = None
    """Whether it reads pairs, if that is known."""

    def outputs(self, texts: list[str], pairs: list[str] | None) -> np.ndarray:
        """Answer texts or pairs: logits or numbers, (texts, outputs), in their order."""
        encoded = encode(self.tokenizer, texts, pairs, self.max_length)
        rows = length_batches(encoded.lengths, tokens=2048)
        given = np.concatenate([self.run(collate(encoded, row)) for row in rows])
        return given[np.argsort(np.concatenate(rows))]


def open_folder(folder: Path, key: str) -> Served:
    """Open a folder with a model of PyTorch, or one of ONNX that the stage `export` made.

    One of ONNX cuts texts to as many tokens as the run that made it did, one of PyTorch to as many as it takes.

    Raises InputError if there is none, or it is damaged or no classifier.
    """
    check_sums(folder, key, weights=False)
    if not (folder / ONNX).is_file():
        model = load_classifier(folder, key)
        known = load_tokenizer(folder, key)
        check_ids(known, model.config, key)
        check_numbering(model.config, key)
        most = min(known.model_max_length, longest(model.config, MOST))
        return Served(in_torch(model, distributed.device()), known, classes(model.config), most)
    check_sums(folder, key, weights=True)
    from transformers import AutoConfig, AutoTokenizer

    try:
        with quiet():
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        run = in_onnx(folder / ONNX)
    except Exception as error:
        raise InputError(f"{key}: {folder} cannot be loaded ({type(error).__name__}: {one_line(error)})") from None
    check_ids(tokenizer, config, key)
    check_numbering(config, key)
    return Served(run, tokenizer, classes(config), tokenizer.model_max_length, getattr(config, PAIRS, None))


def classes(config: object) -> list[str]:
    """The classes of a model's config in order; none if it predicts a number."""
    names: dict[int, str] = config.id2label  # type: ignore[attr-defined]
    return [names[index] for index in range(len(names))] if len(names) > 1 else []


def in_torch(model: PreTrainedModel, place: torch.device) -> Run:
    """Make a model of PyTorch answer on a device."""
    model.to(place).eval()

    def run(batch: Batch) -> np.ndarray:
        with torch.inference_mode(), last_layer_at_first(model):
            return model(**{name: values.to(place) for name, values in batch.items()}).logits.float().cpu().numpy()

    return run


def in_onnx(file: Path) -> Run:
    """Make a file of ONNX answer, on the CPU with as many threads as PyTorch takes."""
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    # Its threads would wait for the next text at full speed, and slow all else down.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    wanted = [each.name for each in session.get_inputs()]

    def run(batch: Batch) -> np.ndarray:
        return session.run(["logits"], {name: batch[name].numpy() for name in wanted})[0]

    return run
