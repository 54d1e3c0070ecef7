"""Where the models' answers go: confusions, and the test texts on which student and teacher differ."""

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

CASES = 12
CLASSES = 12
"""Of more classes no whole matrix is shown, but the commonest mistakes."""
DOTS = 1500
CHARACTERS = 400
SHADES = 5
Predictions = dict[str, list[Any]]


@dataclass(frozen=True)
class Confusion:
    """A model's answers: counts by label and answer with a shade from 0 to SHADES - 1, or its commonest mistakes."""

    model: str
    matrix: list[tuple[str, list[tuple[int, int]]]]
    mistakes: list[tuple[str, str, int]]
    wrong: int


@dataclass(frozen=True)
class Case:
    """A test text with what each model makes of it, by the model's name: the answer, and whether that is right."""

    id: str
    texts: list[str]
    label: str
    answers: list[tuple[str, str, bool | None]]


@dataclass(frozen=True)
class Differing:
    """In how many test texts one of the two is better, and the most telling of them."""

    count: int
    cases: list[Case]


def confusions(test: Texts, answers: Predictions) -> list[Confusion]:
    """Of each model; classes only."""
    labels = labels_of(test)
    out = []
    for name, said in MODELS.items():
        counts = Counter(zip(labels, answers[name], strict=True))
        rows = Counter(labels)
        matrix = []
        if len(test.names) <= CLASSES:
            matrix = [
                (label, [(counts[label, answer], _shade(counts[label, answer], rows[label])) for answer in test.names])
                for label in test.names
            ]
        wrong = sorted(((-n, *pair) for pair, n in counts.items() if pair[0] != pair[1]))
        mistakes = [(label, answer, -n) for n, label, answer in wrong[:CASES]]
        out.append(Confusion(said, matrix, [] if matrix else mistakes, -sum(n for n, *_ in wrong)))
    return out


def _shade(count: int, row: int) -> int:
    return min(SHADES - 1, math.ceil(SHADES * count / row) - 1) if count else 0


def scatters(test: Texts, answers: Predictions) -> list[Markup]:
    """Predicted against actual of each model; numbers only."""
    labels = labels_of(test)
    step = max(1, math.ceil(len(labels) / DOTS))
    note = f"One in {step} texts is drawn." if step > 1 else ""
    drawn = []
    for name, said in MODELS.items():
        both = zip(labels[::step], answers[name][::step], strict=True)
        points = [pair for pair in both if all(math.isfinite(number) for number in pair)]
        if points:
            drawn.append(
                charts.scatter(points, title=f"{said}: predicted and actual", note=note, x="label", y="predicted")
            )
    return drawn


def differing(test: Texts, answers: Predictions) -> tuple[Differing, Differing]:
    """Texts on which the student is wrong and the teacher right, and the reverse; of numbers, which is further off.

    The most telling first. Of classes: those where Student-FT is on the side that is right (the student was taught the
    mistake) or, in the reverse, wrong (only distilling gave the answer), the short before the long. Of numbers: those
    where one model's error exceeds the other's by most.
    """
    labels = labels_of(test)
    off = {name: _errors(labels, answers[name]) for name in MODELS}
    worse = [ours - theirs for ours, theirs in zip(off["student"], off["teacher"], strict=True)]

    def size(row: int) -> int:
        return len(test.texts[row]) + (len(test.pairs[row]) if test.pairs else 0)

    def telling(sign: int) -> Callable[[int], Any]:
        if not test.names:
            return lambda row: (-abs(worse[row]), row)
        return lambda row: (sign * off["student_ft"][row], size(row), row)

    out = []
    for sign in (1, -1):
        rows = sorted((row for row, by in enumerate(worse) if by * sign > 0), key=telling(sign))
        out.append(Differing(len(rows), [_case(test, labels, answers, row) for row in rows[:CASES]]))
    return out[0], out[1]


def _errors(labels: Sequence[Any], answers: Sequence[Any]) -> list[float]:
    pairs = zip(labels, answers, strict=True)
    return [float(a != b) if isinstance(a, str) else abs(a - b) for a, b in pairs]


def labels_of(test: Texts) -> list[Any]:
    """The test texts' class names, or numbers."""
    return [test.names[label] for label in test.labels] if test.names else test.labels.astype(float).tolist()


def _case(test: Texts, labels: Sequence[Any], answers: Predictions, row: int) -> Case:
    def said(answer: Any) -> str:
        return str(answer) if test.names else f"{answer:.3f}"

    texts = [test.texts[row], *([test.pairs[row]] if test.pairs else [])]
    told = [
        (name, said(answers[model][row]), answers[model][row] == labels[row] if test.names else None)
        for model, name in MODELS.items()
    ]
    return Case(test.ids[row], [clipped(text, CHARACTERS) for text in texts], said(labels[row]), told)
