"""Metrics and predictions of other stages, read and checked; if one is damaged, the error names the stage to run."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from pipeline.data.texts import Texts
from pipeline.errors import InputError

MODELS = {"teacher": "teacher", "student": "student", "student_ft": "Student-FT"}
"""The models that evaluate measures, with their names on the page."""
SERVED_MODELS = {"teacher": "teacher", "student": "student", "onnx": "ONNX", "int8": "ONNX, int8"}
"""The models that export measures, with their names on the page."""
EvaluationMetrics = dict[str, dict[str, float | None]]
Kind = TypeVar("Kind")


class Split(BaseModel):
    """Number of rows of a split and the distribution of its labels: counts by class, or mean, sd, min and max."""

    rows: int
    labels: dict[str, int | float] = {}


class DataMetrics(BaseModel):
    """metrics/data.json."""

    splits: dict[str, Split]
    read: dict[str, int]
    dropped: dict[str, dict[str, int]]
    unused: dict[str, int]

    def label_names(self) -> list[str]:
        """Classes, or names of the statistics, in order; a source may have classes of its own."""
        return list(dict.fromkeys(name for split in self.splits.values() for name in split.labels))

    def reasons(self) -> list[str]:
        """Reasons for which rows were dropped."""
        return list(dict.fromkeys(reason for dropped in self.dropped.values() for reason in dropped))


class Latency(BaseModel):
    """Milliseconds for one text alone, and texts per second in batches."""

    median_ms: float
    p95_ms: float
    texts_per_second: float


class ModelMetrics(BaseModel):
    """One model of metrics/serving.json."""

    bytes: int
    accuracy: float | None = None
    f1: float | None = None
    mcc: float | None = None
    r2: float | None = None
    agreement: float | None = None
    largest_difference: float | None = None
    tokens_16: Latency | None = None
    tokens_64: Latency | None = None
    left_out: str | None = None

    def latencies(self) -> dict[int, Latency]:
        """The measured latencies by number of tokens."""
        latencies = {16: self.tokens_16, 64: self.tokens_64}
        return {tokens: latency for tokens, latency in latencies.items() if latency}


class ServingMetrics(BaseModel):
    """metrics/serving.json."""

    teacher: ModelMetrics | None = None
    student: ModelMetrics | None = None
    onnx: ModelMetrics | None = None
    int8: ModelMetrics | None = None

    def models(self) -> dict[str, ModelMetrics]:
        """The models that the file has, by name, in the order of SERVED_MODELS."""
        return {name: model for name in SERVED_MODELS if (model := getattr(self, name))}

    def lengths(self) -> list[int]:
        """Numbers of tokens at which any model was timed."""
        return sorted({tokens for model in self.models().values() for tokens in model.latencies()})


def read_json(path: Path, kind: type[Kind], stage: str) -> Kind:
    """Read a JSON file of `stage`. Raises InputError naming the file if it is missing, damaged or incomplete."""
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; run the {stage} stage first") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise _damaged(path, f"{key}: {first['msg']}" if key else first["msg"], stage) from error


def read_scores(path: Path, metrics: Sequence[str]) -> tuple[EvaluationMetrics, str]:
    """Read metrics/evaluation.json: for each of MODELS `metrics`, their bounds, `parameters`, `bytes` and speed.

    Of numbers `always_mean` as well: the `mean` that is predicted, and the `mae` and `rmse` of that.

    Returns the numbers by model, and which of `metrics` is that of the parameter `score`.
    """
    measured: EvaluationMetrics = read_json(path, EvaluationMetrics, "evaluate")
    keys = [f"{metric}{suffix}" for metric in metrics for suffix in ("", "_low", "_high")]
    for name in MODELS:
        for key in (*keys, "parameters", "bytes", "sentences_per_second"):
            if key not in measured.get(name, {}):
                raise _damaged(path, f"no {name}.{key}", "evaluate")
    for key in ("mean", "mae", "rmse") if "rmse" in metrics else ():
        if measured.get("always_mean", {}).get(key) is None:
            raise _damaged(path, f"no always_mean.{key}", "evaluate")
    deciding = [metric for metric in metrics if f"validation_{metric}" in measured["student"]]
    if not deciding:
        raise _damaged(path, f"no student.validation_{metrics[0]}", "evaluate")
    return measured, deciding[0]


def read_predictions(path: Path, test: Texts) -> dict[str, list[Any]]:
    """Read plots/predictions.csv: for each of MODELS class names or numbers, in the order of the test texts."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; run the evaluate stage first") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise _damaged(path, str(error), "evaluate") from error
    try:
        if [row["id"] for row in rows] != test.ids:
            raise ValueError("its texts are not those of the test set")
        if test.names and (unknown := {row[name] for row in rows for name in MODELS} - set(test.names)):
            raise ValueError(f"a prediction is not a class: {min(unknown, key=str)!r}")
        return {name: [row[name] if test.names else float(row[name]) for row in rows] for name in MODELS}
    except KeyError as error:
        raise _damaged(path, f"no column {error}", "evaluate") from error
    except (TypeError, ValueError) as error:
        raise _damaged(path, str(error), "evaluate") from error


def read_curve(path: Path) -> list[tuple[float, float]]:
    """Read a curve that dvclive wrote: the step and value of each line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()[1:]
        return [(float(step), float(value)) for step, value in (line.split("\t")[-2:] for line in lines)]
    except (UnicodeDecodeError, ValueError) as error:
        raise _damaged(path, str(error), "distill") from error


def _damaged(path: Path, reason: str, stage: str) -> InputError:
    shortened = " ".join(reason.split())[:160]
    return InputError(f"{path}: damaged, or of another run ({shortened}); run the {stage} stage again")
