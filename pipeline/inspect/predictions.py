"""What teacher and student say of texts, in words: a class and its probability, or a number."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.augment.shards import read_schema, scan
from pipeline.errors import InputError

Opinion = dict[str, Any] | float
"""`{"class": "positive", "probability": 0.93}`, or the predicted number."""
Outputs = npt.NDArray[np.float32]
Ask = Callable[[Sequence[str], Sequence[str | None]], Outputs]
"""From texts and the second texts of pairs, None where they are single, to outputs (texts, outputs)."""


def opinion(outputs: Outputs, names: list[str]) -> Opinion:
    """Put one text's outputs (classes,) into words, 4 decimals; without names they are a number."""
    answers, chances = _decided(outputs[None], names)
    return _worded(answers[0], chances[0], names)


def _decided(outputs: Outputs, names: list[str]) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
    """Of outputs (texts, outputs) the classes, or numbers, and how likely each class is; of numbers that is nothing."""
    if not names:
        return outputs[:, 0], np.full(len(outputs), np.nan)
    scores = np.exp(outputs.astype(np.float64) - outputs.max(1, keepdims=True))
    return outputs.argmax(1), scores.max(1) / scores.sum(1)


def _worded(answer: Any, chance: float, names: list[str]) -> Opinion:
    if not names:
        return round(float(answer), 4)
    return {"class": names[int(answer)], "probability": round(float(chance), 4)}


@dataclass(frozen=True)
class CachedPredictions:
    """What the teacher answered to all texts in its cache: 24 bytes a text, however many classes there are.

    Args:
        names: the classes, none in regression.
        hashes: `text_hashes`, rising, (texts,).
        answers: the teacher's class, or number, (texts,).
        chances: how likely it takes that class to be, (texts,).
    """

    names: list[str]
    hashes: npt.NDArray[np.int64]
    answers: npt.NDArray[Any]
    chances: npt.NDArray[np.float64]

    def find(self, hashes: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Where texts stand, by their hashes; -1 for those that the teacher was not asked about."""
        wanted = np.asarray(hashes, dtype=np.int64)
        if not len(self.hashes):
            return np.full(len(wanted), -1)
        rows = np.minimum(np.searchsorted(self.hashes, wanted), len(self.hashes) - 1)
        return np.where(self.hashes[rows] == wanted, rows, -1)

    def opinions(self, hashes: Sequence[int]) -> list[Opinion | None]:
        """In words, of texts by their hashes; None where it was not asked."""
        return [
            None if row < 0 else _worded(self.answers[row], self.chances[row], self.names) for row in self.find(hashes)
        ]


def cached_predictions(cache: Path, names: list[str]) -> CachedPredictions:
    """Read the cache once. Raises InputError if there is none, or it has other outputs than the classes."""
    hashes, answers = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64 if names else np.float32)]
    chances = [np.zeros(0)]
    for batch in scan(_with_logits(cache, names), ["text_hash", "logits"], "cache_teacher"):
        hashes.append(batch["text_hash"].to_numpy())
        answer, chance = _decided(_logits(batch, cache, names), names)
        answers.append(answer)
        chances.append(chance)
    unique, first = np.unique(np.concatenate(hashes), return_index=True)
    return CachedPredictions(names, unique, np.concatenate(answers)[first], np.concatenate(chances)[first])


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
    found = set(pc.list_value_length(batch["logits"]).to_pylist())
    if found != {outputs}:
        raise InputError(
            f"{cache}: {' or '.join(map(str, sorted(found)))} outputs a text where the prepared texts want {outputs}; "
            "run the cache_teacher stage again"
        )
    return flat.to_numpy().reshape(batch.num_rows, outputs)


def load_student(folder: Path, names: list[str], max_length: int) -> Ask:
    """Open the student. Raises InputError if there is none, or it has other classes or is shorter."""
    from pipeline.data.texts import Texts
    from pipeline.evaluation.predicting import predict
    from pipeline.models.compatibility import check_labels, check_length
    from pipeline.models.loading import load_classifier, load_tokenizer

    model = load_classifier(folder, "student")
    check_labels(model.config, names, "student")
    tokenizer = load_tokenizer(folder, "student")
    check_length(max_length, tokenizer, model.config, "student")

    def ask(texts: Sequence[str], pairs: Sequence[str | None]) -> Outputs:
        second = [pair for pair in pairs if pair is not None]
        given = Texts([""] * len(texts), list(texts), second or None, np.zeros(len(texts)), names)
        return predict(model, tokenizer, given, max_length, what="student")

    return ask
