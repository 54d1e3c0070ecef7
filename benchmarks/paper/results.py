"""All measurements in one tidy table: task, row, seed, metric, value; and the predictions that they are tested with."""

import csv
import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.stats import permutation_test

from benchmarks.paper.plan import read_asked
from pipeline.errors import InputError
from pipeline.evaluation.scoring import scores
from pipeline.storage.atomic import publish_file
from pipeline.storage.parquet import read_table, write_table

COLUMNS = ["task", "row", "seed", "metric", "value"]
BASELINE = "l2a"
BASELINES = {"p": BASELINE, "p_default": "default"}
"""The metrics that compare a row with another, and the row that it is compared with."""
RESAMPLES = 2000
PREDICTIONS = "predictions.parquet"
PREDICTED = ["actual", "model"]
Cell = tuple[str, str, str]
"""Task, row, seed."""
Line = tuple[str, str, str, str, float | str]
Known = dict[Cell, list[Line]]
Cells = dict[Cell, tuple[str, list[Line]]]
"""The kind of each cell and its lines."""
Predictions = dict[Cell, pd.DataFrame]
"""By cell, of each test text what was right and what the model said, as text."""


def collect(here: Path) -> str:
    """Write results.csv, a line for each value, `failed` with value 1 for a cell that failed; and predictions.parquet.

    `p` and `p_default` of a row, without a seed, are the p-values of paired tests against l2a and default over the
    texts of all seeds that have both; without predictions of one of them there is none. What was measured on other
    machines is kept from the present files. Returns the number of cells of each kind.
    """
    path = here / "results.csv"
    known: Known = {}
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            for line in list(csv.reader(file))[1:]:
                known.setdefault((line[0], line[1], line[2]), []).append((line[0], line[1], line[2], line[3], line[4]))
    blocks = read_asked(here).blocks()
    cells: Cells = {
        (task, row, str(seed)): _cell(here / "measured", task, row, str(seed), known)
        for block in blocks
        for task in block.tasks
        for row in block.rows
        for seed in block.seeds
    }
    predictions = _predictions(here, cells)
    _write_predictions(predictions, here / PREDICTIONS)
    lines: list[Line] = []
    counts = {"measured": 0, "failed": 0, "measured elsewhere": 0, "not run": 0}
    for block in blocks:
        seeds = [str(seed) for seed in block.seeds]
        for task in block.tasks:
            for seed in seeds:
                data = here / "shared" / task / seed / "prepared" / "data.json"
                lines += list(_sizes(task, seed, data)) if data.is_file() else known.get((task, "data", seed), [])
            for row in block.rows:
                for seed in seeds:
                    kind, cell_lines = cells[task, row, seed]
                    counts[kind] += 1
                    lines += cell_lines
                lines += _p(task, row, seeds, cells, predictions, known.get((task, row, ""), []))
    with publish_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(dict.fromkeys(lines))
    return ", ".join(f"{number} cells {kind}" for kind, number in counts.items() if number)


def main_metric(names: Collection[str]) -> str:
    """Of measured metrics the one that decides: mcc, if it picked the best epochs; accuracy; of numbers pearson."""
    if "pearson" in names:
        return "pearson"
    return "mcc" if "validation_mcc" in names else "accuracy"


def _predictions(here: Path, cells: Cells) -> Predictions:
    """The predictions of all cells that have values: those measured here, and of others what the present file has."""
    path = here / PREDICTIONS
    known: Predictions = {}
    if path.is_file():
        try:
            table = read_table(path, [*COLUMNS[:3], *PREDICTED], "results").to_pandas()
        except InputError as error:
            raise InputError(f"{path}: damaged; accepted: the file as it is in Git, or none") from error
        known = {cell: part[PREDICTED] for cell, part in table.groupby(COLUMNS[:3], sort=False)}
    predictions: Predictions = {}
    for cell, (kind, _) in cells.items():
        file = here.joinpath("measured", *cell, "predictions.csv")
        if kind == "measured" and file.is_file():
            predictions[cell] = pd.read_csv(file, dtype=str, keep_default_na=False)[PREDICTED]
        elif kind == "measured elsewhere" and cell in known:
            predictions[cell] = known[cell]
    return predictions


def _write_predictions(predictions: Predictions, path: Path) -> None:
    parts = [part.assign(task=task, row=row, seed=seed) for (task, row, seed), part in predictions.items()]
    table = pd.concat(parts) if parts else pd.DataFrame(columns=[*COLUMNS[:3], *PREDICTED])
    schema = pa.schema([(name, pa.string()) for name in (*COLUMNS[:3], *PREDICTED)])
    with publish_file(path) as temporary:
        write_table(pa.Table.from_pandas(table, schema, preserve_index=False), temporary)


def _p(
    task: str, row: str, seeds: Sequence[str], cells: Cells, predictions: Predictions, known: Sequence[Line]
) -> Iterator[Line]:
    """The lines of a row's paired tests; `known` are those of earlier, kept if nothing of the row was measured here."""
    here = any(cells[task, row, seed][0] in ("measured", "failed") for seed in seeds)
    values = ("measured", "measured elsewhere")
    metric = main_metric({line[3] for seed in seeds for line in cells[task, row, seed][1]})
    for name, baseline in BASELINES.items():
        both = [
            seed
            for seed in seeds
            if all(cells.get((task, each, seed), ("", []))[0] in values for each in (row, baseline))
        ]
        ones, others = ([predictions.get((task, each, seed)) for seed in both] for each in (row, baseline))
        # A cell measured with another version may be of other texts.
        alike = [
            (one, other)
            for one, other in zip(ones, others, strict=True)
            if one is not None and other is not None and same_labels(one["actual"], other["actual"], metric)
        ]
        if both and len(alike) == len(both) and row != baseline:
            p = paired_p_value([one for one, _ in alike], [other for _, other in alike], metric)
            yield task, row, "", name, round(p, 4)
        elif not here:
            yield from (line for line in known if line[3] == name)


def same_labels(one: pd.Series, other: pd.Series, metric: str) -> bool:
    """Whether two cells are of the same texts; numbers may be rounded differently."""
    if metric != "pearson":
        return list(one) == list(other)
    return len(one) == len(other) and np.allclose(one.astype(float), other.astype(float), rtol=1e-3, atol=1e-4)


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


def paired_p_value(predictions: Sequence[pd.DataFrame], others: Sequence[pd.DataFrame], metric: str) -> float:
    """Two-sided p-value of the difference of mean metrics in a permutation test that swaps predictions for a text.

    Args:
        predictions: one table per seed, of a row, with the columns actual and model.
        others: of the row to compare with, for the same seeds and so the same texts.
        metric: its name; `pearson` for numbers.

    A correlation does not depend on scale: numbers are standardised for each seed before they are swapped.
    """
    classes = metric != "pearson"
    columns = [table[column] for table in (*predictions, *others) for column in PREDICTED]
    names = sorted({name for column in columns for name in column}) if classes else []
    indices = {name: index for index, name in enumerate(names)}

    def coded(tables: Sequence[pd.DataFrame], column: str) -> np.ndarray:
        if not classes:
            parts = [table[column].astype(float).to_numpy() for table in tables]
            return np.concatenate([(part - part.mean()) / (part.std() or 1.0) for part in parts])
        return np.array([indices[name] for name in pd.concat(tables)[column]])

    ends = np.cumsum([len(table) for table in predictions])[:-1]
    actual = np.split(coded(predictions, "actual"), ends)

    def difference(one: np.ndarray, other: np.ndarray) -> float:
        """Difference of the mean over seeds of the metric."""
        sides = [
            [
                _metric(labels, predicted, names, metric)
                for labels, predicted in zip(actual, np.split(side, ends), strict=True)
            ]
            for side in (one, other)
        ]
        return float(np.mean(sides[0]) - np.mean(sides[1]))

    result = permutation_test(
        (coded(predictions, "model"), coded(others, "model")),
        difference,
        permutation_type="samples",
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(0),
    )
    return float(result.pvalue)


def _metric(labels: np.ndarray, predicted: np.ndarray, names: list[str], metric: str) -> float:
    if names and metric != "accuracy":
        return scores(labels, predicted, names)[metric]
    if names:
        return float(np.mean(labels == predicted))
    if np.ptp(predicted) == 0:
        return 0.0
    return float(np.corrcoef(labels, predicted)[0, 1])
