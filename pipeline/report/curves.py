"""Training curves of the student: a chart of each curve that the distill stage wrote."""

import math
from pathlib import Path

from markupsafe import Markup

from pipeline.errors import InputError
from pipeline.report import charts
from pipeline.report.inputs import read_curve

MAX_POINTS = 300
"""Points of a line; a longer curve is drawn as this many means of neighbouring points."""
TITLES = {
    "validation/metric": ("The student on the validation set", ""),
    "validation/loss": ("Loss on the validation set", "loss"),
    "reward": ("Reward of the selector (Eq. 13)", "reward"),
    "return": ("Mean return of each episode (Eq. 14)", "return"),
    "kept": ("Share kept by the selector, by domain", "share kept"),
}
Points = list[tuple[float, float]]


def curves(folder: Path, metric: str) -> list[Markup]:
    """Charts of the curves in dvclive's folder, the most important first; without those that were switched off.

    Args:
        metric: name of the validation metric.

    Raises InputError if there are no curves.
    """
    root = folder / "plots" / "metrics"
    paths = {path.relative_to(root).with_suffix("").as_posix(): path for path in sorted(root.rglob("*.tsv"))}
    if not paths:
        raise InputError(f"{folder}: no curves; run the distill stage first")
    series = {name: _finite(read_curve(path)) for name, path in paths.items()}
    series = {name: points for name, points in series.items() if points and not _switched_off(points)}
    groups: dict[str, dict[str, Points]] = {}
    for name, points in series.items():
        group, label = ("kept", name.removeprefix("kept/")) if name.startswith("kept/") else (name, "")
        groups.setdefault(group, {})[label] = points
    order = [*TITLES, *(name for name in groups if name not in TITLES)]
    return [_chart(name, groups[name], metric) for name in order if name in groups]


def _chart(name: str, series: dict[str, Points], metric: str) -> Markup:
    loss = name.removeprefix("loss/")
    title, y = TITLES.get(name, (f"Loss: {loss}, not weighted" if loss != name else name, "loss"))
    size = max(math.ceil(len(points) / MAX_POINTS) for points in series.values())
    note = f"Each point is the mean of {size} steps." if size > 1 else ""
    drawn = {label: thinned(points, size) for label, points in series.items()}
    return charts.lines(drawn, title=title, note=note, x="step", y=y or metric)


def thinned(points: Points, size: int) -> Points:
    """Means of groups of `size` neighbouring points."""
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [
        (math.fsum(x for x, _ in group) / len(group), math.fsum(y for _, y in group) / len(group)) for group in groups
    ]


def _finite(points: Points) -> Points:
    return [point for point in points if all(math.isfinite(number) for number in point)]


def _switched_off(points: Points) -> bool:
    """Whether the curve is of something that was switched off: a single point at 0."""
    return len(points) == 1 and points[0][1] == 0
