"""All measurements in one tidy table: task, row, seed, metric, value."""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import permutation_test

from benchmarks.paper.plan import read_asked
from pipeline.evaluation.scoring import scores
from pipeline.storage.atomic import publish_file

COLUMNS = ["task", "row", "seed", "metric", "value"]
BASELINE = "l2a"
BASELINES = {"p": BASELINE, "p_default": "default"}
"""The metrics that compare a row with another, and the row that it is compared with."""
RESAMPLES = 2000
Line = tuple[str, str, str, str, float | str]
Known = dict[tuple[str, str, str], list[Line]]


def collect(here: Path) -> str:
    """Write results.csv: a line for each value, `failed` with value 1 for a cell that failed.

    `p` and `p_default` of a row, without a seed, are the p-values of paired tests against l2a and default over the
    texts of all seeds that have both. Values of cells that are not on this machine are kept from the present
    results.csv. Returns the number of cells of each kind.
    """
    path = here / "results.csv"
    known: Known = {}
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            for line in list(csv.reader(file))[1:]:
                known.setdefault((line[0], line[1], line[2]), []).append((line[0], line[1], line[2], line[3], line[4]))
    lines: list[Line] = []
    counts = {"measured": 0, "failed": 0, "measured elsewhere": 0, "not run": 0}
    for block in read_asked(here).blocks():
        for task in block.tasks:
            for seed in block.seeds:
                data = here / "shared" / task / str(seed) / "prepared" / "data.json"
                lines += (
                    list(_sizes(task, str(seed), data)) if data.is_file() else known.get((task, "data", str(seed)), [])
                )
            for row in block.rows:
                kinds = set()
                for seed in block.seeds:
                    kind, cell_lines = _cell(here / "measured", task, row, str(seed), known)
                    kinds.add(kind)
                    counts[kind] += 1
                    lines += cell_lines
                lines += _p(here / "measured", task, row, block.seeds, known, keep=kinds == {"measured elsewhere"})
    with publish_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(dict.fromkeys(lines))
    return ", ".join(f"{number} cells {kind}" for kind, number in counts.items() if number)


def _p(measured: Path, task: str, row: str, seeds: list[int], known: Known, *, keep: bool) -> Iterator[Line]:
    """The lines of a row's paired tests, computed if its predictions are here, kept if none of its cells is here."""
    if keep:
        yield from known.get((task, row, ""), [])
        return
    for metric, baseline in BASELINES.items():
        sides = [[measured / task / name / str(seed) for seed in seeds] for name in (row, baseline)]
        both = [
            pair for pair in zip(*sides, strict=True) if all((folder / "predictions.csv").is_file() for folder in pair)
        ]
        if both and row != baseline:
            ones, others = zip(*both, strict=True)
            yield task, row, "", metric, round(paired_p_value(ones, others), 4)


def _cell(measured: Path, task: str, row: str, seed: str, known: Known) -> tuple[str, list[Line]]:
    folder = measured / task / row / seed
    if (folder / "metrics.json").is_file():
        numbers = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        return "measured", [
            (task, row, seed, metric, value)
            for metric, value in numbers.items()
            if value is not None and not metric.endswith(("_low", "_high"))
        ]
    if (folder / "failed.txt").is_file():
        return "failed", [(task, row, seed, "failed", 1)]
    elsewhere = known.get((task, row, seed), [])
    return "measured elsewhere" if elsewhere else "not run", elsewhere


def _sizes(task: str, seed: str, data: Path) -> Iterator[Line]:
    metrics = json.loads(data.read_text(encoding="utf-8"))
    for split in ("source", "train", "validation", "test"):
        yield task, "data", seed, split, metrics["splits"][split]["rows"]


def paired_p_value(folders: Sequence[Path], others: Sequence[Path]) -> float:
    """Two-sided p-value of the difference of mean metrics in a permutation test that swaps predictions for a text.

    Args:
        folders: one per seed, of a row.
        others: of the row to compare with, for the same seeds and so the same texts.

    A correlation does not depend on scale: numbers are standardised for each seed before they are swapped.
    """
    tables = [[folder / "predictions.csv" for folder in side] for side in (folders, others)]
    measured = json.loads((folders[0] / "metrics.json").read_text(encoding="utf-8"))
    classes = "accuracy" in measured
    # The one that picked the best epochs.
    main = next((name for name in ("f1", "mcc") if f"validation_{name}" in measured), "accuracy")
    kind = str if classes else float
    dtypes = {"actual": kind, "model": kind}
    first, second = ([pd.read_csv(path, dtype=dtypes, keep_default_na=False) for path in side] for side in tables)
    columns = [table[column] for table in (*first, *second) for column in ("actual", "model")]
    names = sorted({name for column in columns for name in column}) if classes else []
    indices = {name: index for index, name in enumerate(names)}

    def coded(tables: list[pd.DataFrame], column: str) -> np.ndarray:
        if not classes:
            parts = [table[column].to_numpy() for table in tables]
            return np.concatenate([(part - part.mean()) / (part.std() or 1.0) for part in parts])
        return np.array([indices[name] for name in pd.concat(tables)[column]])

    ends = np.cumsum([len(table) for table in first])[:-1]
    actual = np.split(coded(first, "actual"), ends)

    def difference(one: np.ndarray, other: np.ndarray) -> float:
        """Difference of the mean over seeds of the metric."""
        sides = [
            [
                _metric(labels, predicted, names, main)
                for labels, predicted in zip(actual, np.split(side, ends), strict=True)
            ]
            for side in (one, other)
        ]
        return float(np.mean(sides[0]) - np.mean(sides[1]))

    result = permutation_test(
        (coded(first, "model"), coded(second, "model")),
        difference,
        permutation_type="samples",
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(0),
    )
    return float(result.pvalue)


def _metric(labels: np.ndarray, predicted: np.ndarray, names: list[str], main: str) -> float:
    if names and main != "accuracy":
        return scores(labels, predicted, names)[main]
    if names:
        return float(np.mean(labels == predicted))
    if np.ptp(predicted) == 0:
        return 0.0
    return float(np.corrcoef(labels, predicted)[0, 1])
