"""How the student learnt: a chart of each curve that the distill stage left."""

import math
from pathlib import Path

from markupsafe import Markup

from pipeline.errors import InputError
from pipeline.report import charts
from pipeline.report.inputs import read_curve

MOST = 300
"""Points of a line; of more, so many means of neighbours are drawn."""
TITLES = {
    "validation/metric": ("The student on the validation set", ""),
    "validation/loss": ("Its loss on the validation set", "loss"),
    "reward": ("Reward of each step (Eq. 13)", "reward"),
    "return": ("Mean return of each episode (Eq. 14)", "return"),
    "kept": ("Share of neighbours kept, by domain", "share kept"),
}
Points = list[tuple[float, float]]


def curves(folder: Path, metric: str) -> list[Markup]:
    """Charts of the curves in dvclive's folder, what matters most first; those of what was switched off are left out.

    Args:
        metric: what the validation metric is called.

    Raises InputError if there are no curves.
    """
    root = folder / "plots" / "metrics"
    found = {path.relative_to(root).with_suffix("").as_posix(): path for path in sorted(root.rglob("*.tsv"))}
    if not found:
        raise InputError(f"{folder}: no curves; run the distill stage first")
    series = {name: _finite(read_curve(path)) for name, path in found.items()}
    series = {name: points for name, points in series.items() if points and not _off(points)}
    groups: dict[str, dict[str, Points]] = {}
    for name, points in series.items():
        group, inner = ("kept", name.removeprefix("kept/")) if name.startswith("kept/") else (name, "")
        groups.setdefault(group, {})[inner] = points
    order = [*TITLES, *(name for name in groups if name not in TITLES)]
    return [_chart(name, groups[name], metric) for name in order if name in groups]


def _chart(name: str, series: dict[str, Points], metric: str) -> Markup:
    loss = name.removeprefix("loss/")
    title, y = TITLES.get(name, (f"Loss: {loss}, not weighted" if loss != name else name, "loss"))
    each = max(math.ceil(len(points) / MOST) for points in series.values())
    note = f"Each point is the mean of {each} steps." if each > 1 else ""
    drawn = {inner: thinned(points, each) for inner, points in series.items()}
    return charts.lines(drawn, title=title, note=note, x="step", y=y or metric)


def thinned(points: Points, each: int) -> Points:
    """Means of so many neighbouring points each."""
    groups = [points[start : start + each] for start in range(0, len(points), each)]
    return [(math.fsum(x for x, _ in few) / len(few), math.fsum(y for _, y in few) / len(few)) for few in groups]


def _finite(points: Points) -> Points:
    return [point for point in points if all(math.isfinite(number) for number in point)]


def _off(points: Points) -> bool:
    """Whether a curve stands for what was switched off: one point, at 0."""
    return len(points) == 1 and points[0][1] == 0
