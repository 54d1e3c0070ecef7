"""What teacher and student say of texts, in words: a class and its probability, or a number."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.dataset as ds

from pipeline.artifacts.scanning import read_schema, scan
from pipeline.errors import InputError

Opinion = dict[str, Any] | float
"""`{"class": "positive", "probability": 0.93}`, or the predicted number."""
Outputs = npt.NDArray[np.float32]
Ask = Callable[[Sequence[str], Sequence[str | None]], Outputs]
"""From texts and the second texts of pairs, None where they are single, to outputs (texts, outputs)."""


def opinion(outputs: Outputs, names: list[str]) -> Opinion:
    """Put one text's outputs (classes,) into words, 4 decimals; without names they are a number."""
    if not names:
        return round(float(outputs[0]), 4)
    scores = np.exp(outputs.astype(np.float64) - outputs.max())
    best = int(outputs.argmax())
    return {"class": names[best], "probability": round(float(scores[best] / scores.sum()), 4)}


def cached_outputs(cache: Path, names: list[str], hashes: Iterable[int]) -> dict[int, Outputs]:
    """The teacher's outputs for texts, by `text_hashes`; texts that it was not asked about are left out."""
    where = ds.field("text_hash").isin(pa.array(sorted(set(hashes)), pa.int64()))
    found: dict[int, Outputs] = {}
    for batch in scan(_with_logits(cache, names), ["text_hash", "logits"], "cache_teacher", where):
        found |= zip(batch["text_hash"].to_pylist(), _logits(batch, cache, names), strict=True)
    return found


def cached_answers(cache: Path, names: list[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
    """Of all texts in the cache the hashes, rising, (texts,), and the teacher's class or number, (texts,)."""
    hashes, answers = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64 if names else np.float32)]
    for batch in scan(_with_logits(cache, names), ["text_hash", "logits"], "cache_teacher"):
        logits = _logits(batch, cache, names)
        hashes.append(batch["text_hash"].to_numpy())
        answers.append(logits.argmax(1) if names else logits[:, 0])
    unique, first = np.unique(np.concatenate(hashes), return_index=True)
    return unique, np.concatenate(answers)[first]


def _with_logits(cache: Path, names: list[str]) -> list[Path]:
    """The indices of a cache; none if it was made without logits. Raises InputError if there is no cache."""
    indices = sorted(cache.glob("*.parquet"))
    if not indices:
        raise InputError(f"{cache}: no teacher cache; run the cache_teacher stage first")
    found = read_schema(indices[0], ["text_hash"], "cache_teacher").names
    return indices if "logits" in found else []


def _logits(batch: pa.RecordBatch, cache: Path, names: list[str]) -> Outputs:
    """The teacher's outputs (rows, outputs). Raises InputError if there are others than the classes."""
    outputs = len(names) or 1
    flat = batch["logits"].flatten()
    if len(flat) != outputs * batch.num_rows:
        raise InputError(
            f"{cache}: {len(flat) / batch.num_rows:g} outputs a text where the prepared texts want {outputs}; "
            "run the cache_teacher stage again"
        )
    return flat.to_numpy().reshape(batch.num_rows, outputs)


def load_student(folder: Path, names: list[str], max_length: int) -> Ask:
    """Open the student. Raises InputError if there is none, or it has other classes or is shorter."""
    from pipeline import models
    from pipeline.agreement import check_labels, check_length
    from pipeline.data.texts import Texts
    from pipeline.predicting import predict

    model = models.load_classifier(folder, "student")
    check_labels(model.config, names, "student")
    tokenizer = models.load_tokenizer(folder, "student")
    check_length(max_length, tokenizer, model.config, "student")

    def ask(texts: Sequence[str], pairs: Sequence[str | None]) -> Outputs:
        second = [pair for pair in pairs if pair is not None]
        given = Texts([""] * len(texts), list(texts), second or None, np.zeros(len(texts)), names)
        return predict(model, tokenizer, given, max_length, what="student")

    return ask
