"""Predictions against labels: confusion matrices, scatter plots, and texts on which student and teacher disagree."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from pipeline.data.texts import Texts
from pipeline.report import charts
from pipeline.report.inputs import MODELS
from pipeline.report.markup import clipped
from pipeline.report.scores import format_in_unit

MAX_CASES = 12
MAX_CLASSES = 12
"""With more classes the most frequent mistakes are shown in place of the matrix."""
MAX_DOTS = 1500
MAX_CHARACTERS = 400
SHADES = 5
Predictions = dict[str, list[Any]]


@dataclass(frozen=True)
class Confusion:
    """A model's confusion matrix, or its most frequent mistakes if there are many classes.

    Args:
        matrix: for each label the count and shade, 0 to SHADES - 1, of each predicted class.
        mistakes: label, prediction and count.
        wrong: number of wrong predictions.
    """

    model: str
    matrix: list[tuple[str, list[tuple[int, int]]]]
    mistakes: list[tuple[str, str, int]]
    wrong: int


@dataclass(frozen=True)
class Case:
    """A test text with each model's name, prediction, and whether that is right (None in regression)."""

    id: str
    texts: list[str]
    label: str
    predictions: list[tuple[str, str, bool | None]]


@dataclass(frozen=True)
class Disagreement:
    """Number of test texts on which one of two models is better, and the most informative of them."""

    count: int
    cases: list[Case]


def confusions(test: Texts, predictions: Predictions) -> list[Confusion]:
    """The confusions of each model; classification only."""
    labels = label_values(test)
    out = []
    for name, model in MODELS.items():
        counts = Counter(zip(labels, predictions[name], strict=True))
        totals = Counter(labels)
        matrix = []
        if len(test.names) <= MAX_CLASSES:
            matrix = [
                (label, [(counts[label, other], _shade(counts[label, other], totals[label])) for other in test.names])
                for label in test.names
            ]
        wrong = sorted(((-count, *pair) for pair, count in counts.items() if pair[0] != pair[1]))
        mistakes = [(label, predicted, -count) for count, label, predicted in wrong[:MAX_CASES]]
        out.append(Confusion(model, matrix, [] if matrix else mistakes, -sum(count for count, *_ in wrong)))
    return out


def _shade(count: int, total: int) -> int:
    return min(SHADES - 1, math.ceil(SHADES * count / total) - 1) if count else 0


def scatters(test: Texts, predictions: Predictions) -> list[Markup]:
    """A scatter plot of predicted against actual numbers for each model; regression only."""
    labels = label_values(test)
    step = max(1, math.ceil(len(labels) / MAX_DOTS))
    note = f"One in {step} texts is drawn." if step > 1 else ""
    drawn = []
    for name, model in MODELS.items():
        pairs = zip(labels[::step], predictions[name][::step], strict=True)
        points = [pair for pair in pairs if all(math.isfinite(number) for number in pair)]
        if points:
            drawn.append(
                charts.scatter(points, title=f"{model}: predicted and actual", note=note, x="label", y="predicted")
            )
    return drawn


def disagreements(test: Texts, predictions: Predictions) -> tuple[Disagreement, Disagreement]:
    """Texts on which the student is wrong and the teacher right, and the reverse; in regression, which error is larger.

    The most informative come first. In classification: those on which Student-FT is right (distilling taught the
    student the mistake) or, in the reverse, wrong (only distilling gave the right class); shorter texts before longer
    ones. In regression: those where one model's error exceeds the other's by most.
    """
    labels = label_values(test)
    errors = {name: _errors(labels, predictions[name]) for name in MODELS}
    excess = [student - teacher for student, teacher in zip(errors["student"], errors["teacher"], strict=True)]

    def length(row: int) -> int:
        return len(test.texts[row]) + (len(test.pairs[row]) if test.pairs else 0)

    def sort_key(sign: int) -> Callable[[int], Any]:
        if not test.names:
            return lambda row: (-abs(excess[row]), row)
        return lambda row: (sign * errors["student_ft"][row], length(row), row)

    out = []
    for sign in (1, -1):
        rows = sorted((row for row, value in enumerate(excess) if value * sign > 0), key=sort_key(sign))
        out.append(Disagreement(len(rows), [_case(test, labels, predictions, row) for row in rows[:MAX_CASES]]))
    return out[0], out[1]


def _errors(labels: Sequence[Any], predicted: Sequence[Any]) -> list[float]:
    pairs = zip(labels, predicted, strict=True)
    return [float(a != b) if isinstance(a, str) else abs(a - b) for a, b in pairs]


def label_values(test: Texts) -> list[Any]:
    """The test texts' class names, or numbers in regression."""
    return [test.names[label] for label in test.labels] if test.names else test.labels.astype(float).tolist()


def _case(test: Texts, labels: Sequence[Any], predictions: Predictions, row: int) -> Case:
    def written(value: Any) -> str:
        return str(value) if test.names else format_in_unit(value)

    texts = [test.texts[row], *([test.pairs[row]] if test.pairs else [])]
    by_model = [
        (model, written(predictions[name][row]), predictions[name][row] == labels[row] if test.names else None)
        for name, model in MODELS.items()
    ]
    return Case(test.ids[row], [clipped(text, MAX_CHARACTERS) for text in texts], written(labels[row]), by_model)
