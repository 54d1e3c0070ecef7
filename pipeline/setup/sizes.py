"""The sizes of a target's splits, and how many rows of other tables are used."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from pipeline.data.loading import Files
from pipeline.data.prepare import draw
from pipeline.data.quoting import shown
from pipeline.data.tables import labels_of, read_tables, split_usable
from pipeline.data.texts import Labels
from pipeline.data.usable import Usable
from pipeline.errors import InputError
from pipeline.params.data import Target
from pipeline.params.schema import Params
from pipeline.params.types import Domain
from pipeline.setup.column import Column

FEWEST = 20
"""Rows at least: ten to train on, four to validate, six to test."""
VALIDATION = 100
"""Validation rows at most; the student predicts them every few steps, for the selector's reward."""
TEST = 2000
"""Test rows at most; they measure an accuracy to within two hundredths."""
TRAIN = 1000
"""Training rows at most; with more labels neighbours are hardly needed."""

SOURCE = 4500
"""Source texts at most: two cores train a teacher and a student on those in some minutes."""
SENTENCES = 8000
"""Sentences of the source's texts, at most, if these are much longer than the target's."""
UNLABELLED = 4000
"""Texts without labels at most, for the same reason."""


def split_sizes(
    params: Params, usable: Usable, data: dict[str, Any], groups: Sequence[list[Column]], notes: list[str]
) -> tuple[int, Usable]:
    """Choose the sizes of a target's splits and its group.

    Returns the number of training rows, and the target's rows with their groups.

    Three tenths of the usable rows are for the test and a fifth for validation, up to `TEST` and `VALIDATION`. The
    others are for training, up to `TRAIN`: equally many of each class if the smallest has nearly enough, else in the
    classes' proportions.

    Args:
        params: with the target's columns and labels; sizes do not matter.
        usable: the target's rows.
        data: the section `data.target` without sizes; sizes and group are added to it.
        groups: columns that may group rows, the strictest first.
        notes: lines on what was decided are added to it.

    Raises InputError if there are fewer than `FEWEST` usable rows.
    """
    rows = len(usable.frame)
    if rows < FEWEST:
        raise InputError(f"{data['path']}: {rows} rows can be used, empty and repeated ones aside; accepted: {FEWEST}")
    names, labels = labels_of(params, usable)
    sizes = {"validation": min(VALIDATION, rows // 5), "test": min(TEST, rows * 3 // 10)}
    counts, reached = _split(usable, labels, names, sizes, params.seed)
    for group in groups:
        values = [tuple(column.cells[row - 1] for column in group) for row in usable.frame["row"]]
        tied = replace(usable, frame=usable.frame.assign(groups=pd.Series(values, index=usable.frame.index)))
        try:
            grouped, held = _split(tied, labels, names, sizes, params.seed)
        except InputError:
            # The groups make the splits impossible.
            continue
        # If one group has nearly all rows, too few are left for training.
        if 2 * sum(grouped) >= sum(counts) and 2 * min(grouped) >= min(counts):
            columns = [column.name for column in group]
            data["columns"]["group"] = columns if len(columns) > 1 else columns[0]
            notes.append(f"group: rows that share {' or '.join(map(shown, columns))} stay in one split")
            counts, reached, usable = grouped, held, tied
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
    over = rows - train - sum(reached.values())
    notes.append(
        f"sizes: {train:,} rows to train on{of_each}, {reached['validation']} to validate, {reached['test']:,} to test"
        + (f"; {over:,} are left over" if over > 0 else "")
    )
    return train, usable


def limit_rows(
    values: dict[str, Any], target: Usable, files: dict[Domain, Files], notes: list[str], *, split: bool
) -> str:
    """Limit the rows of large tables, and say what `prepare` makes of all.

    Args:
        values: of a params file, with the section `data`, whose limits are added to it.
        target: the target's rows, with their groups.
        files: the other tables, read.
        notes: a line on what was decided is added to it.
        split: whether the source's texts are split into sentences.

    Raises InputError if `prepare` would.
    """
    params = Params.model_validate(values)
    tables = read_tables(params, target=target, source=files.get("source"), unlabelled=files.get("unlabelled"))
    source, unlabelled = values["data"]["source"], values["data"]["unlabelled"]
    for section, usable, most in ((source, tables.source, SOURCE), (unlabelled, tables.unlabelled, UNLABELLED)):
        if section is not None and len(usable.frame) > most:
            section["rows"] = most
    if split:
        source["sentences"] = 1
        unused = draw(Params.model_validate(values), tables).report["unused"]
        source["sentences"] = min(SENTENCES, unused["source_sentences"] + 1)
        notes.append(f"data.source.sentences: {source['sentences']:,}, because texts of the source are much longer")
    return draw(Params.model_validate(values), tables).summary()


def _split(
    usable: Usable, labels: Labels, names: list[str], sizes: dict[str, int], seed: int
) -> tuple[list[int], dict[str, int]]:
    """Rows left for training, of each class if there are any, and those of the other splits."""
    # A fraction just below 1 takes all rows that are left.
    target = Target(path="-", fraction=1 - 1e-9, validation=sizes["validation"], test=sizes["test"])
    split = split_usable(target, usable, labels, names, seed)
    train = labels[split.train]
    counts = np.bincount(train, minlength=len(names)).tolist() if names else [len(train)]
    return counts, {"validation": len(split.validation), "test": len(split.test)}
