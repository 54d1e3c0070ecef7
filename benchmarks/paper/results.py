"""All that was measured in one tidy table: task, row, seed, metric, value."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import permutation_test

from benchmarks.paper.plan import read_asked
from pipeline.storage.atomic import publish_file

COLUMNS = ["task", "row", "seed", "metric", "value"]
AGAINST = "l2a"
RESAMPLES = 2000
Line = tuple[str, str, str, str, float | str]
Known = dict[tuple[str, str, str], list[Line]]


def collect(here: Path) -> str:
    """Write results.csv: a line for each figure, `failed` with value 1 for a cell that failed.

    `p` of a row, without a seed, is that of a paired test against l2a over the texts of all seeds that have both.
    Figures of cells that are not on this machine stay as results.csv has them. Returns how many cells there are of each
    kind.
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
                    kind, found = _cell(here / "measured", task, row, str(seed), known)
                    kinds.add(kind)
                    counts[kind] += 1
                    lines += found
                lines += _p(here / "measured", task, row, block.seeds, known, stays=kinds == {"measured elsewhere"})
    with publish_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(dict.fromkeys(lines))
    return ", ".join(f"{number} cells {kind}" for kind, number in counts.items() if number)


def _p(measured: Path, task: str, row: str, seeds: list[int], known: Known, *, stays: bool) -> list[Line]:
    """The line of a row's paired test: anew if its predictions are here, as it was if none of its cells is."""
    if row == AGAINST:
        return []
    sides = [[measured / task / name / str(seed) for seed in seeds] for name in (row, AGAINST)]
    both = [pair for pair in zip(*sides, strict=True) if all((folder / "predictions.csv").is_file() for folder in pair)]
    if not both:
        return known.get((task, row, ""), []) if stays else []
    return [(task, row, "", "p", round(paired_p([one for one, _ in both], [other for _, other in both]), 4))]


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
    given = json.loads(data.read_text(encoding="utf-8"))
    for split in ("source", "train", "validation", "test"):
        yield task, "data", seed, split, given["splits"][split]["rows"]


def paired_p(folders: list[Path], others: list[Path]) -> float:
    """How likely so large a difference of the mean metric is if predictions for a text may be swapped: two-sided.

    Args:
        folders, others: of a row and of the one it is held against, for the same seeds and so the same texts.

    A correlation knows no scale: numbers are swapped with mean 0 and deviation 1 for each seed.
    """
    tables = [[folder / "predictions.csv" for folder in side] for side in (folders, others)]
    classes = "accuracy" in json.loads((folders[0] / "metrics.json").read_text(encoding="utf-8"))
    kind = str if classes else float
    dtypes = {"actual": kind, "model": kind}
    ours, theirs = ([pd.read_csv(path, dtype=dtypes, keep_default_na=False) for path in side] for side in tables)
    names = sorted({name for table in (*ours, *theirs) for name in table["actual"]}) if classes else []
    places = {name: place for place, name in enumerate(names)}

    def coded(tables: list[pd.DataFrame], column: str) -> np.ndarray:
        if not classes:
            parts = [table[column].to_numpy() for table in tables]
            return np.concatenate([(part - part.mean()) / (part.std() or 1.0) for part in parts])
        return np.array([places.get(name, -1) for name in pd.concat(tables)[column]])

    ends = np.cumsum([len(table) for table in ours])[:-1]
    wanted = np.split(coded(ours, "actual"), ends)

    def difference(one: np.ndarray, other: np.ndarray) -> float:
        """Of the mean over seeds of the metric."""
        sides = [
            [_metric(labels, predicted, names) for labels, predicted in zip(wanted, np.split(side, ends), strict=True)]
            for side in (one, other)
        ]
        return float(np.mean(sides[0]) - np.mean(sides[1]))

    tested = permutation_test(
        (coded(ours, "model"), coded(theirs, "model")),
        difference,
        permutation_type="samples",
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(0),
    )
    return float(tested.pvalue)


def _metric(labels: np.ndarray, predicted: np.ndarray, names: list[str]) -> float:
    if names:
        return float(np.mean(labels == predicted))
    if np.ptp(predicted) == 0:
        return 0.0
    return float(np.corrcoef(labels, predicted)[0, 1])
