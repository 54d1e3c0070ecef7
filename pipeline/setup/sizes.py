"""The sizes of test, validation and training set of a target table."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.data.leaks import normalise
from pipeline.data.prepare import labels_of, of_one_table
from pipeline.data.quoting import shown
from pipeline.data.splitting import split_target, strata
from pipeline.data.texts import Labels
from pipeline.data.usable import Usable, keys, read_labelled
from pipeline.errors import InputError
from pipeline.params.data import Target
from pipeline.params.schema import Params
from pipeline.setup.column import Column

FEWEST = 20
"""Rows at least: ten to train on, four to validate, six to test."""
VALIDATION = 100
"""Validation rows at most; the student predicts them every few steps, for the selector's reward."""
TEST = 2000
"""Test rows at most; they measure an accuracy to within two hundredths."""
TRAIN = 1000
"""Training rows at most; with more labels neighbours are hardly needed."""


def train_size(
    task: str,
    data: dict[str, Any],
    groups: Sequence[list[Column]],
    seed: int,
    notes: list[str],
    unlabelled: dict[str, Any] | None = None,
) -> int:
    """Choose the sizes of a target's splits and its group; returns the number of training rows.

    Three tenths of the usable rows are for the test and a fifth for validation, up to `TEST` and `VALIDATION`. The
    others are for training, up to `TRAIN`: equally many of each class if the smallest has nearly enough, else in the
    classes' proportions.

    Args:
        data: the section `data.target` without sizes; sizes and group are added to it.
        groups: columns that may group rows, the strictest first.
        notes: lines on what was decided are added to it.
        unlabelled: the section `data.unlabelled`.

    Raises InputError if there are fewer than `FEWEST` usable rows.
    """
    tables = {"target": data | {"rows": 1}, "unlabelled": unlabelled}
    params = Params.model_validate({"task": task, "seed": seed, "data": tables})
    partly = of_one_table(params.data)
    usable = read_labelled(params.data.target, "target", partly=partly, regression=task == "regression")
    rows = len(usable.frame)
    if rows < FEWEST:
        raise InputError(f"{data['path']}: {rows} rows can be used, empty and repeated ones aside; accepted: {FEWEST}")
    names, labels = labels_of(params, usable)
    sizes = {"validation": min(VALIDATION, rows // 5), "test": min(TEST, rows * 3 // 10)}
    counts = _training_counts(usable, labels, names, sizes, [], seed)
    for group in groups:
        grouped = _training_counts(usable, labels, names, sizes, group, seed)
        # If one group has nearly all rows, too few are left for training.
        if 2 * sum(grouped) >= sum(counts) and 2 * min(grouped) >= min(counts):
            columns = [column.name for column in group]
            data["columns"]["group"] = columns if len(columns) > 1 else columns[0]
            notes.append(f"group: rows that share {' or '.join(map(shown, columns))} stay in one split")
            counts = grouped
            break
    else:
        if groups:
            columns = [column.name for column in groups[-1]]
            names_of = " or ".join(map(shown, columns))
            notes.append(f"group: none, because too many rows share {names_of} to stay in one split")
    train = min(TRAIN, sum(counts))
    each = min(*counts, TRAIN // len(counts)) if names else 0
    if each and each * len(names) >= 0.95 * train:
        data["per_class"], train = each, each * len(names)
    else:
        data["rows"] = train
    data |= sizes
    of_each = f" ({each:,} of each class)" if "per_class" in data else ""
    over = rows - train - sum(sizes.values())
    notes.append(
        f"sizes: {train:,} rows to train on{of_each}, {sizes['validation']} to validate, {sizes['test']:,} to test"
        + (f"; {over:,} are left over" if over > 0 else "")
    )
    return train


def _training_counts(
    usable: Usable, labels: Labels, names: list[str], sizes: dict[str, int], group: Sequence[Column], seed: int
) -> list[int]:
    """Rows left for training, of each class if there are any; 0 if groups make the splits impossible."""
    # A fraction just below 1 takes all rows that are left.
    target = Target(path="-", fraction=1 - 1e-9, validation=sizes["validation"], test=sizes["test"])
    keys_of_rows = [tuple(normalise(column.cells[row - 1]) for column in group) for row in usable.frame["row"]]
    try:
        split = split_target(target, strata(labels), keys(usable), keys_of_rows if group else None, names, seed)
    except InputError:
        if not group:
            raise
        return [0]
    train = labels[split.train]
    return np.bincount(train, minlength=len(names)).tolist() if names else [len(train)]
