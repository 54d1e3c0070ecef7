"""How a target table is divided: what is for the test, for validation, and to be learnt from."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.data.leaks import normalise
from pipeline.data.prepare import Usable, keys, labels_of, read_usable, strata
from pipeline.data.quoting import shown
from pipeline.data.splitting import split_target
from pipeline.data.texts import Labels
from pipeline.errors import InputError
from pipeline.params.data import Target
from pipeline.params.schema import Params
from pipeline.setup.columns import Column

FEWEST = 20
"""Rows, of which ten are to be learnt from and four to validate: fewer tell nothing."""
VALIDATION = 100
"""At most; the student reads them after every step, for the selector's reward."""
TEST = 2000
"""At most; they measure an accuracy within two hundredths."""
TRAIN = 1000
"""At most; whoever has more labels has little need of neighbours."""


def train_size(task: str, data: dict[str, Any], groups: Sequence[list[Column]], seed: int, said: list[str]) -> int:
    """Divide a target's usable rows and write sizes and group into its section; returns the rows to learn from.

    Three tenths are for the test and a fifth for validation, up to `TEST` and `VALIDATION`. From the others it is
    learnt, up to `TRAIN`: from equally many of each class if the smallest has nearly its share, else in the classes'
    proportions.

    Args:
        data: the section `data.target` without sizes.
        groups: what may tie rows together, the strictest first.
        said: where a line is left on what was decided.

    Raises InputError if there are fewer than `FEWEST` usable rows.
    """
    params = Params.model_validate({"task": task, "seed": seed, "data": {"target": data | {"rows": 1}}})
    usable = read_usable(params.data.target, "target")
    rows = len(usable.frame)
    if rows < FEWEST:
        raise InputError(f"{data['path']}: {rows} rows can be used, empty and repeated ones aside; accepted: {FEWEST}")
    names, labels = labels_of(params, usable)
    sizes = {"validation": min(VALIDATION, rows // 5), "test": min(TEST, rows * 3 // 10)}
    counts = _left(usable, labels, names, sizes, [], seed)
    for group in groups:
        tied = _left(usable, labels, names, sizes, group, seed)
        # Where nearly all hangs together, too little would be left.
        if 2 * sum(tied) >= sum(counts) and 2 * min(tied) >= min(counts):
            columns = [column.name for column in group]
            data["columns"]["group"] = columns if len(columns) > 1 else columns[0]
            said.append(f"group: rows that share {' or '.join(map(shown, columns))} stay in one split")
            counts = tied
            break
    train = min(TRAIN, sum(counts))
    each = min(*counts, TRAIN // len(counts)) if names else 0
    if each and each * len(names) >= 0.95 * train:
        data["per_class"], train = each, each * len(names)
    else:
        data["rows"] = train
    data |= sizes
    of_each = f" ({each:,} of each class)" if "per_class" in data else ""
    over = rows - train - sum(sizes.values())
    said.append(
        f"sizes: {train:,} rows to learn from{of_each}, {sizes['validation']} to validate, {sizes['test']:,} to test"
        + (f"; {over:,} are left over" if over else "")
    )
    return train


def _left(
    usable: Usable, labels: Labels, names: list[str], sizes: dict[str, int], group: Sequence[Column], seed: int
) -> list[int]:
    """Rows that validation and test leave, of each class if there are any; 0 if groups do not let them be drawn."""
    # A share next to 1 is all of what is left.
    target = Target(path="-", fraction=1 - 1e-9, validation=sizes["validation"], test=sizes["test"])
    tied = [tuple(normalise(column.cells[row - 1]) for column in group) for row in usable.frame["row"]]
    try:
        part = split_target(target, strata(labels), keys(usable), tied if group else None, names, seed)
    except InputError:
        if not group:
            raise
        return [0]
    left = labels[part.train]
    return np.bincount(left, minlength=len(names)).tolist() if names else [len(left)]
