"""What the report reads of other stages: whole and as they wrote it, or one line that names the stage to run."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from pipeline.data.texts import Texts
from pipeline.errors import InputError

MODELS = {"teacher": "teacher", "student": "student", "student_ft": "Student-FT"}
"""What evaluate measures, and what the page calls it."""
SERVED = {"teacher": "teacher", "student": "student", "onnx": "ONNX", "int8": "ONNX in 8 bits"}
Measured = dict[str, dict[str, float | None]]
Kind = TypeVar("Kind")


class Split(BaseModel):
    """Rows of a split and how its labels are spread: counts by class, or mean, sd, min and max."""

    rows: int
    labels: dict[str, int | float] = {}


class Prepared(BaseModel):
    """metrics/data.json."""

    splits: dict[str, Split]
    read: dict[str, int]
    dropped: dict[str, dict[str, int]]
    unused: dict[str, int]

    def label_names(self) -> list[str]:
        """Classes, or what is told of numbers, in order; a source may have classes of its own."""
        return list(dict.fromkeys(name for split in self.splits.values() for name in split.labels))

    def reasons(self) -> list[str]:
        """Why rows were dropped."""
        return list(dict.fromkeys(reason for dropped in self.dropped.values() for reason in dropped))


class Latency(BaseModel):
    """Milliseconds for one text alone, and texts a second in batches."""

    median_ms: float
    p95_ms: float
    texts_per_second: float


class Model(BaseModel):
    """A model of metrics/serving.json."""

    bytes: int
    accuracy: float | None = None
    pearson: float | None = None
    agreement: float | None = None
    largest_difference: float | None = None
    tokens_16: Latency | None = None
    tokens_64: Latency | None = None
    tokens_128: Latency | None = None

    def latencies(self) -> dict[int, Latency]:
        """What was timed, by the number of tokens."""
        timed = {16: self.tokens_16, 64: self.tokens_64, 128: self.tokens_128}
        return {tokens: found for tokens, found in timed.items() if found}


class Serving(BaseModel):
    """metrics/serving.json."""

    teacher: Model | None = None
    student: Model | None = None
    onnx: Model | None = None
    int8: Model | None = None

    def models(self) -> dict[str, Model]:
        """Those that are there."""
        return {name: found for name in SERVED if (found := getattr(self, name))}

    def lengths(self) -> list[int]:
        """Numbers of tokens at which any model was timed."""
        return sorted({tokens for model in self.models().values() for tokens in model.latencies()})


def read_json(path: Path, kind: type[Kind], stage: str) -> Kind:
    """Read what `stage` wrote. Raises InputError naming the file if it is missing, damaged or lacks something."""
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run the {stage} stage first") from None
    except ValidationError as errors:
        first = errors.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise _damaged(path, f"{place}: {first['msg']}" if place else first["msg"], stage) from None


def read_scores(path: Path, metrics: Sequence[str]) -> Measured:
    """metrics/evaluation.json, for each of MODELS with `metrics`, their bounds, `parameters`, `bytes` and speed."""
    found: Measured = read_json(path, Measured, "evaluate")
    keys = [f"{metric}{end}" for metric in metrics for end in ("", "_low", "_high")]
    for name in MODELS:
        for key in (*keys, "parameters", "bytes", "sentences_per_second"):
            if key not in found.get(name, {}):
                raise _damaged(path, f"no {name}.{key}", "evaluate")
    return found


def read_predictions(path: Path, test: Texts) -> dict[str, list[Any]]:
    """plots/predictions.csv: for each of MODELS, in the order of the test texts, class names or numbers."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run the evaluate stage first") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise _damaged(path, str(error), "evaluate") from None
    try:
        if [row["id"] for row in rows] != test.ids:
            raise ValueError("other texts than the test set has")
        if test.names and (strange := {row[name] for row in rows for name in MODELS} - set(test.names)):
            raise ValueError(f"an answer that is no class: {min(strange, key=str)!r}")
        return {name: [row[name] if test.names else float(row[name]) for row in rows] for name in MODELS}
    except KeyError as error:
        raise _damaged(path, f"no column {error}", "evaluate") from None
    except (TypeError, ValueError) as error:
        raise _damaged(path, str(error), "evaluate") from None


def read_curve(path: Path) -> list[tuple[float, float]]:
    """Step and value of each line of a curve that dvclive wrote."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()[1:]
        return [(float(step), float(value)) for step, value in (line.split("\t")[-2:] for line in lines)]
    except (UnicodeDecodeError, ValueError) as error:
        raise _damaged(path, str(error), "distill") from None


def _damaged(path: Path, reason: str, stage: str) -> InputError:
    said = " ".join(reason.split())[:160]
    return InputError(f"{path}: damaged, or of another run ({said}); run the {stage} stage again")
