"""A classifier in an ONNX folder, answering without torch and transformers: what a service imports.

    from pipeline.serving.onnx_model import open_onnx

    model = open_onnx("models/int8")
    model.predict(["a film that never wakes up"])

One model may answer in several threads at once.
"""

import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from pipeline.compute.batching import TOKENS, budget_batches, pad_arrays
from pipeline.errors import InputError, one_line
from pipeline.evaluation.prediction import Outputs, Prediction, predictions
from pipeline.models.classes import class_names, read_config
from pipeline.models.ids import check_ids, check_numbering
from pipeline.serving.predict import check_kind
from pipeline.storage.checksums import check_sums
from pipeline.storage.layout import check_filled

logger = logging.getLogger(__name__)

ONNX = "model.onnx"
"""File name that marks a model folder as ONNX."""
PAIRS_KEY = "text_pairs"
"""Key in the config of an ONNX folder: whether the model reads pairs."""
UNLIMITED = 100_000
"""Maximum length in tokens for a model that accepts any length."""
CORES = Path("/sys/devices/system/cpu")


@dataclass(frozen=True)
class OnnxModel:
    """An ONNX classifier with its tokenizer."""

    run: Callable[[Mapping[str, Any]], Outputs]
    """Maps a padded batch, int64 arrays (texts, tokens) by name, to logits or numbers, (texts, outputs)."""
    run_many: Callable[[Iterable[Mapping[str, Any]]], Iterable[Outputs]]
    """The same of several batches, in order."""
    tokenizer: Tokenizer
    """Truncates to `max_length`, does not pad."""
    pad_token_id: int
    token_types: bool
    """Whether it reads `token_type_ids`."""
    names: list[str]
    """The classes in order; empty for regression."""
    max_length: int
    """Number of tokens to which texts are truncated."""
    pairs: bool | None = None
    """Whether it reads pairs; None if unknown."""

    def predict(self, texts: list[str], pairs: list[str] | None = None) -> list[Prediction]:
        """The class of each text, or of each pair, with its probability, such as `{"class": "good", "probability":
        0.93}`; in regression its number.

        Raises InputError if the model reads pairs and these are single texts, or the reverse.
        """
        check_kind(pairs is not None, self.pairs)
        return predictions(self.outputs(texts, pairs), self.names)

    def outputs(self, texts: list[str], pairs: list[str] | None) -> Outputs:
        """Logits, or predicted numbers, of texts or pairs in their order, (texts, outputs)."""
        if not texts:
            return np.zeros((0, max(1, len(self.names))), dtype=np.float32)
        encoded = self.tokenizer.encode_batch_fast(texts if pairs is None else list(zip(texts, pairs, strict=True)))
        ids = [each.ids for each in encoded]
        # Not by the number of threads: int8 rounds by what is in a batch, and answers would depend on it.
        row_batches = budget_batches([len(row) for row in ids], TOKENS // 2)
        batches = []
        for rows in row_batches:
            tokens, attention = pad_arrays([ids[row] for row in rows], self.pad_token_id)
            batch = {"input_ids": tokens, "attention_mask": attention}
            if self.token_types:
                batch["token_type_ids"], _ = pad_arrays([encoded[row].type_ids for row in rows], 0)
            batches.append(batch)
        alone = len(batches) == 1 or _threads() == 1
        outputs = map(self.run, batches) if alone else self.run_many(batches)
        return np.concatenate(list(outputs))[np.argsort(np.concatenate(row_batches))]


def open_onnx(folder: str | Path, key: str = "folder") -> OnnxModel:
    """Open an ONNX folder that the stage `export` wrote; texts are truncated as they were in training.

    Args:
        key: what errors call the folder.

    Raises InputError if there is no such model, the stage has left it out, it is damaged, or its tokenizer belongs to
    another model.
    """
    folder = Path(folder)
    check_filled(folder, key)
    if not (folder / ONNX).is_file():
        raise InputError(f"{key}: no such ONNX folder: {folder}; accepted: one with {ONNX}")
    check_sums(folder, key, weights=True)
    try:
        config = read_config(folder / "config.json")
        settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        max_length = int(min(settings.get("model_max_length", UNLIMITED), UNLIMITED))
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_length, direction=settings.get("truncation_side", "right"))
        tokenizer.encode_special_tokens = settings.get("split_special_tokens", False)
        pad_token_id = _pad_token_id(tokenizer, settings)
        session = open_session(folder / ONNX)
    except Exception as error:
        raise InputError(f"{key}: {folder} cannot be loaded ({type(error).__name__}: {one_line(error)})") from error
    # A dictionary of the vocabulary, of megabytes, is made only if some of its ids are beyond the embeddings.
    known = (tokenizer.id_to_token(each) is not None for each in range(getattr(config, "vocab_size", 0)))
    if sum(known) != tokenizer.get_vocab_size():
        check_ids(tokenizer, config, key)
    check_numbering(config, key)
    logger.info("%s: ONNX Runtime on the CPU", folder)
    return OnnxModel(
        session_runner(session),
        _many_runner(folder / ONNX),
        tokenizer,
        pad_token_id,
        "token_type_ids" in _inputs(session),
        class_names(config),
        max_length,
        getattr(config, PAIRS_KEY, None),
    )


def _pad_token_id(tokenizer: Tokenizer, settings: dict[str, Any]) -> int:
    token = settings["pad_token"]
    # Older versions of transformers write an object.
    token = token["content"] if isinstance(token, dict) else token
    token_id: int | None = tokenizer.token_to_id(token)
    if token_id is None:
        raise ValueError(f"tokenizer.json does not have the padding token {token}")
    return token_id


def open_session(model: Path | bytes, threads: int | None = None) -> Any:
    """An onnxruntime session of a file or its content, on the CPU.

    Args:
        threads: for one batch; by default as many as PyTorch uses.
    """
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or _threads()
    options.log_severity_level = 3
    # Otherwise idle threads would spin while they wait for the next text, and slow down everything else.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def session_runner(session: Any) -> Callable[[Mapping[str, Any]], Outputs]:
    """A function that maps a batch by name, arrays or tensors on the CPU, to logits or numbers."""
    inputs = _inputs(session)

    def run(batch: Mapping[str, Any]) -> Outputs:
        logits: Outputs = session.run(["logits"], {name: np.asarray(batch[name]) for name in inputs})[0]
        return logits

    return run


def _many_runner(file: Path) -> Callable[[Iterable[Mapping[str, Any]]], Iterable[Outputs]]:
    """A function that maps batches to their outputs, each batch by one thread.

    That is faster than all threads at one batch, which wait for each other after each operation. It takes a session of
    its own, which is opened by the first call.
    """
    # The file as it is now: by the first call another model may be in its place, or none.
    content = np.memmap(file, dtype=np.uint8, mode="r")
    run = cache(lambda: session_runner(open_session(content.tobytes(), threads=1)))

    def run_many(batches: Iterable[Mapping[str, Any]]) -> list[Outputs]:
        with ThreadPoolExecutor(_threads()) as pool:
            return list(pool.map(run(), batches))

    return run_many


def onnx_runner(file: Path) -> Callable[[Mapping[str, Any]], Outputs]:
    """The runner of an ONNX file on the CPU."""
    return session_runner(open_session(file))


def onnx_inputs(file: Path) -> list[str]:
    """The names of an ONNX file's inputs, `input_ids` first."""
    return _inputs(open_session(file))


def _inputs(session: Any) -> list[str]:
    return [each.name for each in session.get_inputs()]


def _threads() -> int:
    """As many as PyTorch uses: OMP_NUM_THREADS, or the cores that the process may use, each once."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdigit() and int(asked):
        return int(asked)
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    siblings = [CORES / f"cpu{number}/topology/thread_siblings_list" for number in os.sched_getaffinity(0)]
    return len({file.read_text() if file.is_file() else str(file) for file in siblings})
