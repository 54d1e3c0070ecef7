"""The measurement on the test set: how good each model is, how sure that is, how large and how fast it is."""

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
from pipeline.storage.atomic import publish_file, write_json


def evaluate(params: Params, *, prepared: Path, folders: Mapping[str, Path], metrics: Path, plots: Path) -> str:
    """Measure models on the target's test set.

    Args:
        folders: each model's folder under the name it is to have.
        metrics: JSON, for each model its metrics with `_low` and `_high` of their 95 % intervals, `parameters`,
            `bytes` of weights on disk and `sentences_per_second` from text to output.
        plots: CSV with a row for each test text: id, actual, and what each model predicted under its name.

    Returns what was measured, in a few words. Raises InputError if a model is missing or has other classes.
    """
    test = read_texts(prepared / "test.parquet")
    for name, folder in folders.items():
        if not folder.is_dir():
            raise InputError(f"{name}: no such model folder: {folder}; run the stage that makes it first")
    measured: dict[str, dict[str, float | None]] = {}
    predictions: dict[str, Any] = {"id": test.ids, "actual": _readable(test.labels, test.names)}
    for name, folder in folders.items():
        given, numbers = _run(name, folder, test, params.max_length)
        predicted = decide(given, test.names)
        found = scores(test.labels, predicted, test.names)
        bounds = intervals(test.labels, predicted, test.names, params.evaluate.resamples, params.seed)
        measured[name] = rounded({**_interleaved(found, bounds), **numbers})
        predictions[name] = _readable(predicted, test.names)
    write_json(metrics, measured)
    with publish_file(plots) as file:
        pd.DataFrame(predictions).to_csv(file, index=False, lineterminator="\n")
    metric = headline(test.names)
    said = ", ".join(f"{name} {numbers[metric]}" for name, numbers in measured.items())
    return f"{metric} on {len(test)} test texts: {said}, in {metrics}"


def _run(name: str, folder: Path, test: Texts, max_length: int) -> tuple[np.ndarray, dict[str, float]]:
    """Open a model and run it over the test texts: its outputs, and its size and speed."""
    model = load_classifier(folder, name)
    check_labels(model.config, test.names, name)
    tokenizer = load_tokenizer(folder, name)
    check_length(max_length, tokenizer, model.config, name)
    # The first batch pays for what is set up once; it is not timed.
    ready = prepare(tokenizer, test, max_length)
    outputs(model, Prepared(ready.rows[:1], ready.batches[:1]))
    start = time.perf_counter()
    given = predict(model, tokenizer, test, max_length, what=name)
    seconds = time.perf_counter() - start
    return given, {
        "parameters": parameter_count(model),
        "bytes": weight_bytes(folder),
        "sentences_per_second": round(len(test) / seconds, 1),
    }


def _interleaved(found: Mapping[str, float], bounds: Mapping[str, float]) -> dict[str, float]:
    """Each metric followed by its bounds."""
    numbers: dict[str, float] = {}
    for metric, value in found.items():
        numbers |= {metric: value, **{name: bounds[name] for name in (f"{metric}_low", f"{metric}_high")}}
    return numbers


def _readable(values: np.ndarray, names: list[str]) -> list[Any]:
    """Class names, or numbers with 4 decimals."""
    return [names[value] for value in values] if names else values.astype(np.float64).round(4).tolist()
