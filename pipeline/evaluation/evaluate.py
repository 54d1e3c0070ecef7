"""Evaluation on the test set: each model's metrics with confidence intervals, its size and its speed."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.data.texts import Texts, read_texts
from pipeline.errors import InputError
from pipeline.evaluation.predicting import Prepared, outputs, predict, prepare
from pipeline.evaluation.scoring import decide, headline, intervals, rounded, scores
from pipeline.models.compatibility import check_labels, check_length
from pipeline.models.loading import load_classifier, load_tokenizer, parameter_count, weight_bytes
from pipeline.params.schema import Params
from pipeline.storage.atomic import publish_file
from pipeline.storage.json_file import write_json


def evaluate(params: Params, *, prepared: Path, folders: Mapping[str, Path], metrics: Path, plots: Path) -> str:
    """Measure models on the target's test set.

    Args:
        folders: each model's folder by name.
        metrics: JSON file: for each model its metrics with `_low` and `_high` of their 95 % intervals, `parameters`,
            `bytes` of weights on disk and `sentences_per_second` from text to output.
        plots: CSV file with a row for each test text: id, actual, and each model's prediction under its name.

    Returns a one-line summary. Raises InputError if a model is missing or has other classes.
    """
    test = read_texts(prepared / "test.parquet")
    for name, folder in folders.items():
        if not folder.is_dir():
            raise InputError(f"{name}: no such model folder: {folder}; run the stage that makes it first")
    measured: dict[str, dict[str, float | None]] = {}
    predictions: dict[str, Any] = {"id": test.ids, "actual": _readable(test.labels, test.names)}
    for name, folder in folders.items():
        logits, size_and_speed = _run(name, folder, test, params.max_length)
        predicted = decide(logits, test.names)
        values = scores(test.labels, predicted, test.names)
        bounds = intervals(test.labels, predicted, test.names, params.evaluate.resamples, params.seed)
        measured[name] = rounded({**_interleaved(values, bounds), **size_and_speed})
        predictions[name] = _readable(predicted, test.names)
    write_json(metrics, measured)
    with publish_file(plots) as file:
        pd.DataFrame(predictions).to_csv(file, index=False, lineterminator="\n")
    metric = headline(test.names)
    summary = ", ".join(f"{name} {numbers[metric]}" for name, numbers in measured.items())
    return f"{metric} on {len(test)} test texts: {summary}, in {metrics}"


def _run(name: str, folder: Path, test: Texts, max_length: int) -> tuple[np.ndarray, dict[str, float]]:
    """Load a model and run it over the test texts: its outputs (texts, outputs), and its size and speed."""
    model = load_classifier(folder, name)
    check_labels(model.config, test.names, name)
    tokenizer = load_tokenizer(folder, name)
    check_length(max_length, tokenizer, model.config, name)
    # One-time set-up happens in the first batch, which is not timed.
    warmup = prepare(tokenizer, test, max_length)
    outputs(model, Prepared(warmup.rows[:1], warmup.batches[:1]))
    start = time.perf_counter()
    logits = predict(model, tokenizer, test, max_length, description=name)
    seconds = time.perf_counter() - start
    return logits, {
        "parameters": parameter_count(model),
        "bytes": weight_bytes(folder),
        "sentences_per_second": round(len(test) / seconds, 1),
    }


def _interleaved(values: Mapping[str, float], bounds: Mapping[str, float]) -> dict[str, float]:
    """Each metric followed by its bounds."""
    numbers: dict[str, float] = {}
    for metric, value in values.items():
        numbers |= {metric: value, **{name: bounds[name] for name in (f"{metric}_low", f"{metric}_high")}}
    return numbers


def _readable(values: np.ndarray, names: list[str]) -> list[Any]:
    """Class names, or numbers with 4 decimals."""
    return [names[value] for value in values] if names else values.astype(np.float64).round(4).tolist()
