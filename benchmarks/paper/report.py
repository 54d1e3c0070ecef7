"""Tables and figures of results.csv: means and standard deviations over seeds, and paired tests against a row."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.paper.drawing import draw
from benchmarks.paper.plan import read_asked, read_row, read_task
from benchmarks.paper.results import BASELINE, BASELINES, main_metric
from pipeline.distill.dataset import count_epochs
from pipeline.errors import InputError
from pipeline.params.file import load
from pipeline.storage.atomic import publish_file, publish_folder

ABLATIONS = (
    "l2a", "no-source", "no-target", "no-attention", "no-hidden", "no-dark", "no-selector", "random-selector",
    "selector-faster", "random-half", "rounds-2", "neighbours-doubled", "l2a-originals",
)  # fmt: skip
SECOND_METRICS = {
    "accuracy": ("f1", "F1"),
    "mcc": ("accuracy", "accuracy"),
    "pearson": ("spearman", "Spearman's r"),
}
"""The second metric of a task and its name, by its main metric."""


class Results:
    """results.csv, queried by task, row and metric."""

    def __init__(self, path: Path, seeds: Sequence[int] | None = None) -> None:
        """Read the file; if `seeds` are given, only their lines, and the paired tests of rows that have no others."""
        if not path.is_file():
            raise InputError(f"{path}: no such file; run the results stage first")
        self.lines = pd.read_csv(path, dtype={"seed": str}, keep_default_na=False)
        if seeds is not None:
            chosen = self.lines["seed"].isin([str(seed) for seed in seeds])
            tests = self.lines["seed"] == ""
            rows = pd.MultiIndex.from_frame(self.lines[["task", "row"]])
            self.lines = self.lines[chosen | (tests & ~rows.isin(rows[~chosen & ~tests]))]

    def values(self, task: str, row: str, metric: str) -> pd.Series:
        """Values by seed."""
        lines = self.lines
        selected = (lines["task"] == task) & (lines["row"] == row) & (lines["metric"] == metric)
        return lines[selected].set_index("seed")["value"].astype(float)

    def main_metric(self, task: str) -> str:
        """Name of a task's main metric: accuracy or mcc, which picked the best epochs; pearson, as in the paper."""
        return main_metric(set(self.lines.loc[self.lines["task"] == task, "metric"]))

    def scores(self, task: str, row: str) -> pd.Series:
        """Values of the main metric by seed."""
        return self.values(task, row, self.main_metric(task))

    def cell(self, task: str, row: str, metric: str | None = None) -> str:
        """Mean ± standard deviation over seeds and their number; or "failed", or "not run"."""
        values = self.values(task, row, metric or self.main_metric(task))
        failed = len(self.values(task, row, "failed"))
        if values.empty:
            return "failed" if failed else "not run"
        spread = f" ± {values.std():.3f}" if len(values) > 1 else ""
        missing = f", {failed} failed" if failed else ""
        return f"{values.mean():.3f}{spread} ({len(values)}{missing})"

    def difference(self, task: str, row: str, test: str = "p") -> str:
        """Difference of the row's mean from l2a's over the seeds that both have, with the p of the paired test.

        `test` "p_default" compares with the row default.
        """
        metric, baseline = self.main_metric(task), BASELINES[test]
        both = pd.concat([self.values(task, row, metric), self.values(task, baseline, metric)], axis=1, join="inner")
        if row == baseline or both.empty:
            return ""
        p = self.values(task, row, test)
        return f"{(both.iloc[:, 0] - both.iloc[:, 1]).mean():+.3f}" + (f", p {p.iloc[0]:.3f}" if len(p) else "")


def write_report(here: Path) -> str:
    """Write RESULTS.md and figures/; returns a one-line summary."""
    results = Results(here / "results.csv")
    asked = read_asked(here)
    main, others, studies = asked.main, asked.tasks, asked.studies
    # All points of a study are of the same seeds.
    study_results = Results(here / "results.csv", studies.seeds)
    parts = [(here / "notes.md").read_text(encoding="utf-8")]
    parts.append(_data(results, [*main.tasks, *others.tasks, *studies.tasks]))
    parts += [_rows(results, here, task, main.rows + main.after) for task in main.tasks]
    parts.append(_tasks(results, "four tasks", others.tasks, others.rows, "p_default"))
    if asked.pairs.tasks:
        rows = ["student-ft", BASELINE, *asked.pairs.rows]
        parts.append(_tasks(results, "pairs", asked.pairs.tasks, rows, "p"))
    parts += [_ablations(results, task) for task in main.tasks]
    for task in studies.tasks_of_rows:
        parts.append(_studies(study_results, here, task, studies.rows, studies.tasks, studies.rows_of_tasks))
    parts.append(_failures(here))
    with publish_folder(here / "figures") as folder:
        for task in studies.tasks_of_rows:
            draw(study_results.scores, study_results.main_metric(task), task, folder)
    with publish_file(here / "RESULTS.md") as temporary:
        temporary.write_text("\n\n".join(part.strip() for part in parts if part) + "\n", encoding="utf-8")
    return f"{len(results.lines)} values of {results.lines['task'].nunique()} tasks, in {here / 'RESULTS.md'}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _steps(results: Results, here: Path, task: str, row: str) -> str:
    """Training steps of a row, including those of the row it starts from."""
    measure, plan = read_row(row).measure, here / "plan" / task / f"{row}.yaml"
    sizes = {
        domain: results.values(task, "data", split) for domain, split in (("source", "source"), ("target", "train"))
    }
    if not plan.is_file() or any(size.empty for size in sizes.values()) or measure == "teacher":
        return ""
    params = load(plan)
    texts = {domain: int(size.iloc[0]) for domain, size in sizes.items()}
    if measure == "student_ft":
        fit = params.evaluate.student_ft
        return f"{fit.epochs * math.ceil(texts['target'] / fit.batch_size)}"
    examples = sum(
        number * (getattr(params.augment.samples, domain) + (domain in params.distill.originals))
        for domain, number in texts.items()
    )
    epochs, batches = count_epochs(examples, params.distill)
    return f"{params.rounds * epochs * batches}"


def _failures(here: Path) -> str:
    """Error messages of the cells that failed on this machine."""
    lines = [
        [*path.relative_to(here / "measured").parts[:3], path.read_text(encoding="utf-8").strip().replace("|", "\\|")]
        for path in sorted((here / "measured").glob("*/*/*/failed.txt"))
    ]
    return "## Failed\n\n" + _table(["task", "row", "seed", "error"], lines) if lines else ""


def _description(row: str) -> str:
    return read_row(row).what.replace("|", "\\|")


def _data(results: Results, tasks: Sequence[str]) -> str:
    rows = []
    for task in tasks:
        sizes = [results.values(task, "data", split) for split in ("source", "train", "validation", "test")]
        rows.append([task, *(f"{size.iloc[0]:,.0f}" if len(size) else "" for size in sizes), read_task(task).what])
    return "## Table 1: data\n\n" + _table(["task", "source", "train", "validation", "test", "description"], rows)


def _rows(results: Results, here: Path, task: str, rows: Sequence[str]) -> str:
    metric = results.main_metric(task)
    lines = []
    for row in rows:
        size = results.values(task, row, "parameters")
        lines.append([
            row, results.cell(task, row), results.cell(task, row, SECOND_METRICS[metric][0]),
            *(results.difference(task, row, test) for test in BASELINES), _steps(results, here, task, row),
            f"{size.mean() / 1e6:.1f}M" if len(size) else "", _description(row),
        ])  # fmt: skip
    means = {row: np.nan_to_num(results.values(task, row, metric).mean(), nan=-np.inf) for row in rows}
    lines.sort(key=lambda line: means[line[0]], reverse=True)
    head = [
        "row",
        f"{metric} (seeds)",
        SECOND_METRICS[metric][1],
        *(f"difference from {baseline}" for baseline in BASELINES.values()),
        "steps",
        "parameters",
        "description",
    ]
    return f"## Table 2: rows of {task}\n\n" + _table(head, lines)


def _tasks(results: Results, title: str, tasks: Sequence[str], rows: Sequence[str], test: str) -> str:
    first, second = [], []
    for row in rows:
        first.append([row, *(_with_difference(results, task, row, test) for task in tasks)])
        second.append([row, *(results.cell(task, row, SECOND_METRICS[results.main_metric(task)][0]) for task in tasks)])
    heads = [
        ["row", *(f"{task}: {results.main_metric(task)} (seeds)" for task in tasks)],
        ["row", *(f"{task}: {SECOND_METRICS[results.main_metric(task)][1]} (seeds)" for task in tasks)],
    ]
    return (
        f"## Table 2, continued: {title}\n\nAfter the semicolon: the difference from {BASELINES[test]}.\n\n"
        f"{_table(heads[0], first)}\n\n{_table(heads[1], second)}"
    )


def _with_difference(results: Results, task: str, row: str, test: str = "p") -> str:
    return "; ".join(filter(None, [results.cell(task, row), results.difference(task, row, test)]))


def _ablations(results: Results, task: str) -> str:
    lines = [
        [row, results.cell(task, row), results.difference(task, row), _share(results, task, row), _description(row)]
        for row in ABLATIONS
    ]
    head = ["row", f"{results.main_metric(task)} (seeds)", "difference from l2a", "neighbours kept", "description"]
    return f"## Table 3: ablations on {task}\n\n" + _table(head, lines)


def _share(results: Results, task: str, row: str) -> str:
    """Mean share of neighbours kept in the last epoch."""
    kept = results.values(task, row, "kept")
    return f"{kept.mean():.3f}" if len(kept) else ""


def _studies(
    results: Results, here: Path, task: str, rows: Sequence[str], tasks: Sequence[str], rows_of_tasks: Sequence[str]
) -> str:
    lines = [
        [row, results.cell(task, row), results.difference(task, row), _steps(results, here, task, row)]
        for row in [BASELINE, *rows, "init-encoder"]
    ]
    first = _table(["setting", f"{results.main_metric(task)} (seeds)", "difference from l2a", "steps"], lines)
    lines = [[other, *(_with_difference(results, other, row) for row in rows_of_tasks)] for other in [task, *tasks]]
    second = "After the semicolon: the difference from l2a.\n\n" + _table(["task", *rows_of_tasks], lines)
    images = "\n".join(
        f"![{name}](figures/{task}-{name}.svg)" for name in ("target-size", "alpha", "temperature", "neighbours")
    )
    return f"## Studies on {task}\n\n{first}\n\n{second}\n\n## Figures 2 and 3\n\n{images}"
