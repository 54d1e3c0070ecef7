"""What teacher and student predict for texts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import InputError
from pipeline.evaluation.prediction import Outputs, Prediction, as_prediction, most_probable
from pipeline.storage.parquet import read_schema, scan

Predict = Callable[[Sequence[str], Sequence[str | None]], Outputs]
"""From texts and the second texts of pairs, None where they are single, to outputs (texts, outputs)."""


@dataclass(frozen=True)
class CachedPredictions:
    """The teacher's predictions for all texts in its cache: 24 bytes a text, however many classes there are.

    Args:
        names: the classes, none in regression.
        hashes: `text_hashes`, sorted, (texts,).
        values: the teacher's class, or number, (texts,).
        probs: the probability it gives that class, (texts,).
    """

    names: list[str]
    hashes: npt.NDArray[np.int64]
    values: npt.NDArray[Any]
    probs: npt.NDArray[np.float64]

    def rows(self, hashes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The row of each text, by its hash; -1 for texts that are not in the cache."""
        if not len(self.hashes):
            return np.full(len(hashes), -1)
        rows = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        return np.where(self.hashes[rows] == hashes, rows, -1)

    def predictions(self, hashes: npt.NDArray[np.int64]) -> list[Prediction | None]:
        """The teacher's prediction for each text, by its hash; None for texts that are not in the cache."""
        return [
            None if row < 0 else as_prediction(self.values[row], self.probs[row], self.names)
            for row in self.rows(hashes)
        ]


def cached_predictions(cache: Path, names: list[str]) -> CachedPredictions:
    """Read the cache once. Raises InputError if there is none, or it has other outputs than the classes."""
    hashes, values = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64 if names else np.float32)]
    probs = [np.zeros(0)]
    for batch in scan(_indices_with_logits(cache), ["text_hash", "logits"], "cache_teacher"):
        hashes.append(batch["text_hash"].to_numpy())
        batch_values, batch_probs = most_probable(_logits(batch, cache, names), names)
        values.append(batch_values)
        probs.append(batch_probs)
    unique, first = np.unique(np.concatenate(hashes), return_index=True)
    return CachedPredictions(names, unique, np.concatenate(values)[first], np.concatenate(probs)[first])


def _indices_with_logits(cache: Path) -> list[Path]:
    """The cache's index files; none if it was made without logits. Raises InputError if there is no cache."""
    indices = sorted(cache.glob("*.parquet"))
    if not indices:
        raise InputError(f"{cache}: no teacher cache; run the cache_teacher stage first")
    columns = read_schema(indices[0], ["text_hash"], "cache_teacher").names
    return indices if "logits" in columns else []


def _logits(batch: pa.RecordBatch, cache: Path, names: list[str]) -> Outputs:
    """The teacher's outputs (rows, outputs). Raises InputError if there are others than the classes."""
    outputs = len(names) or 1
    flat = batch["logits"].flatten()
    lengths = set(pc.list_value_length(batch["logits"]).to_pylist())
    if lengths != {outputs}:
        raise InputError(
            f"{cache}: {' or '.join(map(str, sorted(lengths)))} outputs a text where the prepared texts need "
            f"{outputs}; run the cache_teacher stage again"
        )
    return flat.to_numpy().reshape(batch.num_rows, outputs)


def load_student(folder: Path, names: list[str], max_length: int) -> Predict:
    """Load the student. Raises InputError if there is none, or if it has other classes or takes shorter texts."""
    from pipeline.data.texts import Texts
    from pipeline.evaluation.predicting import predict
    from pipeline.models.compatibility import check_labels, check_length
    from pipeline.models.loading import load_classifier, load_tokenizer

    model = load_classifier(folder, "student")
    check_labels(model.config, names, "student")
    tokenizer = load_tokenizer(folder, "student")
    check_length(max_length, tokenizer, model, "student")

    def predict_rows(texts: Sequence[str], pairs: Sequence[str | None]) -> Outputs:
        second = [pair for pair in pairs if pair is not None]
        rows = Texts([""] * len(texts), list(texts), second or None, np.zeros(len(texts)), names)
        return predict(model, tokenizer, rows, max_length, description="student")

    return predict_rows
