"""Figures 2 and 3: target size, α, temperature and number of neighbours, as SVG."""

from collections.abc import Callable
from pathlib import Path

import matplotlib
import pandas as pd

from benchmarks.paper.results import BASELINE

SIZES: dict[float, str | None] = {20: "target-20", 40: None, 60: "target-60", 80: "target-80"}
"""Tasks by labelled texts per class; the main task has 40."""
SETTINGS: dict[str, tuple[str, dict[float, str]]] = {
    "alpha": ("α", {0.6: "alpha-0.6", 0.7: "alpha-0.7", 0.8: "alpha-0.8", 0.9: "alpha-0.9", 1.0: BASELINE}),
    "temperature": ("T", {1: BASELINE, 2: "temperature-2", 4: "temperature-4", 8: "temperature-8"}),
    "neighbours": (
        "neighbours of a target text",
        {1: "neighbours-1", 5: "neighbours-5", 10: "neighbours-10", 20: BASELINE, 40: "neighbours-40"},
    ),
}
"""For each figure the label of the x axis, and the row for each x."""


def draw(scores: Callable[[str, str], pd.Series], metric: str, task: str, folder: Path) -> None:
    """Write the figures of a task.

    Args:
        scores: of a task and a row, by seed.
        metric: their name.
    """
    matplotlib.use("svg")
    # Makes the same data give the same bytes.
    matplotlib.rcParams["svg.hashsalt"] = "l2a"
    from matplotlib import pyplot

    plots = {
        name: (label, {BASELINE: {x: (task, row) for x, row in points.items()}})
        for name, (label, points) in SETTINGS.items()
    }
    plots["target-size"] = (
        "labelled texts per class",
        {row: {x: (other or task, row) for x, other in SIZES.items()} for row in ("teacher", BASELINE, "student-ft")},
    )
    for name, (label, curves) in plots.items():
        figure, axes = pyplot.subplots(figsize=(4.5, 3))
        for row, points in curves.items():
            drawn = {x: scores(*cell) for x, cell in points.items() if len(scores(*cell))}
            if drawn:
                means = [y.mean() for y in drawn.values()]
                spread = [y.std() if len(y) > 1 else 0 for y in drawn.values()]
                axes.errorbar(list(drawn), means, yerr=spread, marker="o", capsize=3, label=row)
        axes.set(xlabel=label, ylabel=metric)
        if axes.has_data():
            axes.legend()
        figure.tight_layout()
        figure.savefig(folder / f"{task}-{name}.svg", metadata={"Date": None})
        pyplot.close(figure)
