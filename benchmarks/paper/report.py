"""results.csv as tables and figures: means over seeds, their spread, and what a paired test says against l2a."""

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import pandas as pd

from benchmarks.paper.plan import read_asked, read_row, read_task
from benchmarks.paper.results import AGAINST
from pipeline.distill.loop import passes
from pipeline.errors import InputError
from pipeline.params.file import load
from pipeline.storage.atomic import publish_file, publish_folder

ABLATIONS = (
    "l2a", "no-source", "no-target", "no-attention", "no-hidden", "no-dark", "no-selector", "random-selector",
    "selector-faster", "random-half", "rounds-2", "neighbours-doubled", "l2a-originals",
)  # fmt: skip
SIZES: dict[float, str | None] = {20: "target-20", 40: None, 60: "target-60", 80: "target-80"}
"""Tasks by labelled texts a class; the main task has 40."""
SETTINGS: dict[str, tuple[str, dict[float, str]]] = {
    "alpha": ("α", {0.6: "alpha-0.6", 0.7: "alpha-0.7", 0.8: "alpha-0.8", 0.9: "alpha-0.9", 1.0: AGAINST}),
    "temperature": ("T", {1: AGAINST, 2: "temperature-2", 4: "temperature-4", 8: "temperature-8"}),
    "neighbours": (
        "neighbours of a target text",
        {1: "neighbours-1", 5: "neighbours-5", 10: "neighbours-10", 20: AGAINST, 40: "neighbours-40"},
    ),
}
"""Of each picture the label of x, and the row at each x."""


BESIDE = {"accuracy": ("f1", "F1"), "pearson": ("spearman", "Spearman's r")}
"""What else is told of a task, by what decides in it: the metric and how it is written."""


class Figures:
    """results.csv, asked by task, row and metric."""

    def __init__(self, path: Path, seeds: Sequence[int] | None = None) -> None:
        """Read it, or those lines of it that are of some seeds."""
        if not path.is_file():
            raise InputError(f"{path}: no such file; run the results stage first")
        self.lines = pd.read_csv(path, dtype={"seed": str}, keep_default_na=False)
        if seeds is not None:
            self.lines = self.lines[self.lines["seed"].isin([str(seed) for seed in seeds])]

    def of(self, task: str, row: str, metric: str) -> pd.Series:
        """Values by seed."""
        lines = self.lines
        asked = (lines["task"] == task) & (lines["row"] == row) & (lines["metric"] == metric)
        return lines[asked].set_index("seed")["value"].astype(float)

    def headline(self, task: str) -> str:
        """What decides in a task: accuracy, or of numbers Pearson's r."""
        numbers = (self.lines["task"] == task) & (self.lines["metric"] == "pearson")
        return "pearson" if numbers.any() else "accuracy"

    def cell(self, task: str, row: str, metric: str | None = None) -> str:
        """Mean ± standard deviation over seeds and how many they are; or that it failed, or has not been run."""
        values = self.of(task, row, metric or self.headline(task))
        failed = len(self.of(task, row, "failed"))
        if values.empty:
            return "failed" if failed else "not run"
        spread = f" ± {values.std():.3f}" if len(values) > 1 else ""
        missing = f", {failed} failed" if failed else ""
        return f"{values.mean():.3f}{spread} ({len(values)}{missing})"

    def behind(self, task: str, row: str) -> str:
        """What the row's mean lacks of l2a's over the seeds that both have, with the p of the paired test."""
        metric = self.headline(task)
        both = pd.concat([self.of(task, row, metric), self.of(task, AGAINST, metric)], axis=1, join="inner")
        if row == AGAINST or both.empty:
            return ""
        p = self.of(task, row, "p")
        return f"{(both.iloc[:, 0] - both.iloc[:, 1]).mean():+.3f}" + (f", p {p.iloc[0]:.3f}" if len(p) else "")


def write_report(here: Path) -> str:
    """Write RESULTS.md and figures/; returns what was made, in a few words."""
    figures = Figures(here / "results.csv")
    asked = read_asked(here)
    main, others, studies = asked.main, asked.tasks, asked.studies
    # Of a study all points are of the same seeds.
    same = Figures(here / "results.csv", studies.seeds or main.seeds)
    parts = [(here / "notes.md").read_text(encoding="utf-8")]
    parts.append(_data(figures, [*main.tasks, *others.tasks, *studies.tasks]))
    parts += [_rows(figures, here, task, main.rows + main.after) for task in main.tasks]
    parts.append(_tasks(figures, others.tasks, others.rows))
    for task in main.tasks:
        parts.append(_ablations(figures, task))
        parts.append(_studies(same, here, task, studies.rows, studies.tasks, studies.rows_of_tasks))
    parts.append(_failures(here))
    with publish_folder(here / "figures") as folder:
        for task in main.tasks:
            _draw(same, task, folder)
    with publish_file(here / "RESULTS.md") as temporary:
        temporary.write_text("\n\n".join(part.strip() for part in parts if part) + "\n", encoding="utf-8")
    return f"{len(figures.lines)} figures of {figures.lines['task'].nunique()} tasks, in {here / 'RESULTS.md'}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _steps(figures: Figures, here: Path, task: str, row: str) -> str:
    """Training steps of a row, those of the row it goes on from among them."""
    given, plan = read_row(row), here / "plan" / task / f"{row}.yaml"
    sizes = {domain: figures.of(task, "data", split) for domain, split in (("source", "source"), ("target", "train"))}
    if not plan.is_file() or any(size.empty for size in sizes.values()) or given.measure == "teacher":
        return ""
    params = load(plan)
    texts = {domain: int(size.iloc[0]) for domain, size in sizes.items()}
    if given.measure == "student_ft":
        fit = params.evaluate.student_ft
        return f"{fit.epochs * math.ceil(texts['target'] / fit.batch_size)}"
    taught = sum(
        number * (getattr(params.augment.samples, domain) + (domain in params.distill.originals))
        for domain, number in texts.items()
    )
    epochs, batches = passes(taught, params.distill)
    return f"{params.rounds * epochs * batches}"


def _failures(here: Path) -> str:
    """What the cells that failed on this machine say."""
    lines = [
        [*path.relative_to(here / "measured").parts[:3], path.read_text(encoding="utf-8").strip().replace("|", "\\|")]
        for path in sorted((here / "measured").glob("*/*/*/failed.txt"))
    ]
    return "## Failed\n\n" + _table(["task", "row", "seed", "why"], lines) if lines else ""


def _what(row: str) -> str:
    return read_row(row).what.replace("|", "\\|")


def _data(figures: Figures, tasks: Sequence[str]) -> str:
    rows = []
    for task in tasks:
        sizes = [figures.of(task, "data", split) for split in ("source", "train", "validation", "test")]
        rows.append([task, *(f"{size.iloc[0]:,.0f}" if len(size) else "" for size in sizes), read_task(task).what])
    return "## Table 1: texts\n\n" + _table(["task", "source", "train", "validation", "test", "what"], rows)


def _rows(figures: Figures, here: Path, task: str, rows: Sequence[str]) -> str:
    metric = figures.headline(task)
    lines = []
    for row in rows:
        size = figures.of(task, row, "parameters")
        lines.append([
            row, figures.cell(task, row), figures.cell(task, row, BESIDE[metric][0]),
            figures.behind(task, row), _steps(figures, here, task, row),
            f"{size.mean() / 1e6:.1f}M" if len(size) else "", _what(row),
        ])  # fmt: skip
    lines.sort(key=lambda line: figures.of(task, line[0], metric).mean() if line[1][0] in "-0123456789" else -9.0)
    lines.reverse()
    head = ["row", f"{metric} (seeds)", BESIDE[metric][1], "against l2a", "steps", "parameters", "what"]
    return f"## Table 2: rows of {task}\n\n" + _table(head, lines)


def _tasks(figures: Figures, tasks: Sequence[str], rows: Sequence[str]) -> str:
    first, second = [], []
    for row in rows:
        behind = {task: figures.behind(task, row) for task in tasks}
        first.append([row, *("; ".join(filter(None, [figures.cell(task, row), behind[task]])) for task in tasks)])
        second.append([row, *(figures.cell(task, row, BESIDE[figures.headline(task)][0]) for task in tasks)])
    heads = [
        ["row", *(f"{task}: {figures.headline(task)} (seeds)" for task in tasks)],
        ["row", *(f"{task}: {BESIDE[figures.headline(task)][1]} (seeds)" for task in tasks)],
    ]
    return (
        "## Table 2, continued: four tasks\n\nAfter the semicolon: against l2a.\n\n"
        f"{_table(heads[0], first)}\n\n{_table(heads[1], second)}"
    )


def _ablations(figures: Figures, task: str) -> str:
    lines = [
        [row, figures.cell(task, row), figures.behind(task, row), _share(figures, task, row), _what(row)]
        for row in ABLATIONS
    ]
    head = ["row", f"{figures.headline(task)} (seeds)", "against l2a", "neighbours kept", "what"]
    return f"## Table 3: what each part is worth, on {task}\n\n" + _table(head, lines)


def _share(figures: Figures, task: str, row: str) -> str:
    """Mean share of neighbours kept in the last epoch."""
    kept = figures.of(task, row, "kept")
    return f"{kept.mean():.3f}" if len(kept) else ""


def _studies(
    figures: Figures, here: Path, task: str, rows: Sequence[str], tasks: Sequence[str], rows_of_tasks: Sequence[str]
) -> str:
    lines = [
        [row, figures.cell(task, row), figures.behind(task, row), _steps(figures, here, task, row)]
        for row in [AGAINST, *rows, "init-encoder"]
    ]
    first = _table(["setting", f"{figures.headline(task)} (seeds)", "against l2a", "steps"], lines)
    lines = [[other, *(figures.cell(other, row) for row in rows_of_tasks)] for other in [task, *tasks]]
    second = _table(["task", *rows_of_tasks], lines)
    pictures = "\n".join(
        f"![{name}](figures/{task}-{name}.svg)" for name in ("target-size", "alpha", "temperature", "neighbours")
    )
    return f"## Studies on {task}\n\n{first}\n\n{second}\n\n## Figures 2 and 3\n\n{pictures}"


def _draw(figures: Figures, task: str, folder: Path) -> None:
    """Target size (Figure 2), α, temperature and number of neighbours (Figure 3), as SVG."""
    matplotlib.use("svg")
    # The same bytes for the same figures.
    matplotlib.rcParams["svg.hashsalt"] = "l2a"
    from matplotlib import pyplot

    def values(task: str, row: str) -> pd.Series:
        return figures.of(task, row, figures.headline(task))

    plots = {
        name: (label, {AGAINST: {x: (task, row) for x, row in points.items()}})
        for name, (label, points) in SETTINGS.items()
    }
    plots["target-size"] = (
        "labelled texts a class",
        {row: {x: (other or task, row) for x, other in SIZES.items()} for row in ("teacher", AGAINST, "student-ft")},
    )
    for name, (label, curves) in plots.items():
        figure, axes = pyplot.subplots(figsize=(4.5, 3))
        for row, points in curves.items():
            there = {x: values(*place) for x, place in points.items() if len(values(*place))}
            if there:
                means, spread = (
                    [y.mean() for y in there.values()],
                    [y.std() if len(y) > 1 else 0 for y in there.values()],
                )
                axes.errorbar(list(there), means, yerr=spread, marker="o", capsize=3, label=row)
        axes.set_xlabel(label)
        axes.set_ylabel(figures.headline(task))
        if axes.has_data():
            axes.legend()
        figure.tight_layout()
        figure.savefig(folder / f"{task}-{name}.svg", metadata={"Date": None})
        pyplot.close(figure)
