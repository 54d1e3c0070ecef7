"""Evaluation on the test set: each model's metrics with confidence intervals, its size and its speed."""

import csv
import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.texts import Texts, read_texts
from pipeline.errors import InputError
from pipeline.evaluation.predicting import predict
from pipeline.evaluation.scoring import decide, headline, intervals, readable, rounded, scores
from pipeline.models.compatibility import check_labels, check_length
from pipeline.models.loading import load_classifier, load_tokenizer, parameter_count, weight_bytes
from pipeline.params.schema import Params
from pipeline.storage.atomic import publish_file
from pipeline.storage.json_file import write_json

logger = logging.getLogger(__name__)


def evaluate(params: Params, *, prepared: Path, folders: Mapping[str, Path], metrics: Path, plots: Path) -> str:
    """Measure models on the target's test set.

    Args:
        folders: each model's folder by name.
        metrics: JSON file: for each model its metrics with `_low` and `_high` of their 95 % intervals, its score on
            the validation texts as `validation_accuracy` or the like, `parameters`, `bytes` of
            weights on disk and `sentences_per_second` from text to output. `student` also has `worse_than_student_ft`,
            whether it validates worse than `student_ft`; then a warning says what to try. In regression `always_mean`
            has the errors of predicting the mean of the training labels for every text, and that `mean`.
        plots: CSV file with a row for each test text: id, actual, and each model's prediction under its name.

    Returns a one-line summary. Raises InputError if a model is missing or has other classes.
    """
    test, validation = (read_texts(prepared / f"{name}.parquet") for name in ("test", "validation"))
    metric = headline(params.score, validation.labels, validation.names)
    for name, folder in folders.items():
        if not folder.is_dir():
            raise InputError(f"{name}: no such model folder: {folder}; run the stage that makes it first")
    measured: dict[str, dict[str, float | None]] = {}
    validated: dict[str, float] = {}
    predictions: dict[str, Any] = {"id": test.ids, "actual": _readable(test.labels, test.names)}
    for name, folder in folders.items():
        logits, validation_logits, size_and_speed = _run(name, folder, test, validation, params.max_length)
        predicted = decide(logits, test.names)
        validated[name] = scores(validation.labels, decide(validation_logits, test.names), test.names)[metric]
        values = scores(test.labels, predicted, test.names)
        bounds = intervals(test.labels, predicted, test.names, params.evaluate.resamples, params.seed)
        validation_score = {f"validation_{metric}": validated[name]}
        measured[name] = rounded({**_interleaved(values, bounds), **validation_score, **size_and_speed})
        predictions[name] = _readable(predicted, test.names)
    warning = None
    if {"student", "student_ft"} <= validated.keys():
        warning = _worse(validated["student"], validated["student_ft"], metric, len(validation))
        measured["student"]["worse_than_student_ft"] = warning is not None
    guess = {} if test.names else {"always_mean": _always_mean(read_texts(prepared / "train.parquet"), test)}
    write_json(metrics, measured | guess)
    with publish_file(plots) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(predictions)
        writer.writerows(zip(*predictions.values(), strict=True))
    if warning is not None:
        logger.warning(warning)
    summary = ", ".join(f"{name} {numbers[metric]}" for name, numbers in measured.items())
    end = "" if warning is None else "; the student validates worse than Student-FT"
    return f"{metric} on {len(test)} test texts: {summary}, in {metrics}{end}"


def _always_mean(train: Texts, test: Texts) -> dict[str, float | None]:
    """The mean of the training labels, and the metrics of predicting it for every test text, where they are defined."""
    mean = float(train.labels.mean(dtype=np.float64))
    values = scores(test.labels, np.full(len(test), mean), [])
    return rounded({"mean": mean} | {name: values[name] for name in ("r2", "mae", "rmse")})


def _worse(student: float, student_ft: float, metric: str, texts: int) -> str | None:
    """What to try if distillation has made the student worse than the labels alone make it; None if it has not."""
    # An undefined R² is the worst, as in Validation.
    student, student_ft = (-1.0 if math.isnan(score) else round(score, 4) for score in (student, student_ft))
    if student >= student_ft:
        return None
    return (
        f"models/student: validation {metric} {student:.4f}, Student-FT {student_ft:.4f}: distillation made it worse "
        f"than the labels alone, on {texts:,} texts; try more augment.samples.target, or texts without labels "
        "(data.unlabelled); with a source teacher.domains: auto or [target], or fewer data.source.rows"
    )


def _run(
    name: str, folder: Path, test: Texts, validation: Texts, max_length: int
) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    """Load a model and run it: its outputs for test and validation texts (texts, outputs), and its size and speed."""
    model = load_classifier(folder, name)
    check_labels(model.config, test.names, name)
    tokenizer = load_tokenizer(folder, name)
    check_length(max_length, tokenizer, model, name)
    # First, because one-time set-up happens here, where it is not timed.
    validation_logits = predict(model, tokenizer, validation, max_length)
    start = time.perf_counter()
    logits = predict(model, tokenizer, test, max_length, description=name)
    seconds = time.perf_counter() - start
    return (
        logits,
        validation_logits,
        {
            "parameters": parameter_count(model),
            "bytes": weight_bytes(folder),
            "sentences_per_second": round(len(test) / seconds, 1),
        },
    )


def _interleaved(values: Mapping[str, float], bounds: Mapping[str, float]) -> dict[str, float]:
    """Each metric followed by its bounds."""
    numbers: dict[str, float] = {}
    for metric, value in values.items():
        numbers |= {metric: value, **{name: bounds[name] for name in (f"{metric}_low", f"{metric}_high")}}
    return numbers


def _readable(values: np.ndarray, names: list[str]) -> list[Any]:
    """Class names, or numbers as `predict` gives them."""
    return [names[value] for value in values] if names else [readable(float(value)) for value in values]
