"""The user's tables, read: the rows that can be used, their labels, and which rows of the target are held out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.data.labels import class_indices, class_names, numbers, spelling
from pipeline.data.leaks import Row, normalise
from pipeline.data.loading import Files
from pipeline.data.splitting import Split, split_target, strata
from pipeline.data.texts import Labels
from pipeline.data.usable import Usable, counts, keys, read_labelled, read_unlabelled
from pipeline.errors import InputError
from pipeline.params.data import Data, Table, Target
from pipeline.params.schema import Params


@dataclass(frozen=True)
class Tables:
    """The tables of a params file, and all that is decided of them before rows are drawn.

    Args:
        names: the target's classes in order; empty for regression.
        labels: of the target's rows, as `source_labels` of the source's.
        source: no rows without a source, as `unlabelled` without unlabelled texts.
        source_names: the target's classes, or others of its own.
        held_out: the normalised validation and test texts.
    """

    target: Usable
    names: list[str]
    labels: Labels
    split: Split
    held_out: list[Row]
    source: Usable
    source_names: list[str]
    source_labels: Labels
    unlabelled: Usable


def read_tables(
    params: Params, *, target: Usable | None = None, source: Files | None = None, unlabelled: Files | None = None
) -> Tables:
    """Read the tables, whatever number of rows of the source and of unlabelled texts is drawn later.

    Args:
        target: the target's rows, if they were read before.
        source, unlabelled: files, if they were read before.

    Raises InputError if a table, a label or a size of the target cannot be used.
    """
    data = params.data
    _check_pairs(data)
    target = target or read_target(params)
    names, labels = labels_of(params, target)
    split = split_usable(data.target, target, labels, names, params.seed)
    held_out = target.normalised([*split.validation, *split.test])
    rich = more = Usable(target.frame[:0], 0, dict.fromkeys(target.dropped, 0))
    if data.source is not None:
        rich = read_labelled(data.source, "source", held_out, regression=params.task == "regression", files=source)
    if data.unlabelled is not None:
        more = read_unlabelled(data.unlabelled, held_out, target.normalised(split.train.tolist()), files=unlabelled)
    source_names, source_labels = _source_labels(params, rich, names)
    return Tables(target, names, labels, split, held_out, rich, source_names, source_labels, more)


def read_target(params: Params, files: Files | None = None) -> Usable:
    """Read the target's table; unlabelled texts may be rows of it without a label."""
    data = params.data
    partly = data.unlabelled is not None and all(
        getattr(data.unlabelled, name) == getattr(data.target, name) for name in ("path", "config", "split")
    )
    return read_labelled(data.target, "target", partly=partly, regression=params.task == "regression", files=files)


def labels_of(params: Params, target: Usable) -> tuple[list[str], Labels]:
    """The classes in order and each row's class index, or no classes and numbers. Raises InputError naming the row."""
    column, labels, rows = _label_column(params.data.target, target)
    if params.task == "classification":
        names = class_names(labels, params.data.labels, column)
        return names, class_indices(labels, rows, names, column, "data.labels")
    if params.data.labels is not None:
        raise InputError("data.labels: regression has no classes; accepted: null, or task: classification")
    values = numbers(labels, rows, column)
    if (values == values[0]).all():
        raise InputError(f"{column}: every row has {values[0]}; accepted: numbers that differ")
    return [], values


def _source_labels(params: Params, source: Usable, names: list[str]) -> tuple[list[str], Labels]:
    """The source's classes and labels: the target's classes, or its own if the teacher need not train on the source."""
    if params.data.source is None:
        return names, np.zeros(0, dtype=np.int64 if names else np.float32)
    column, labels, rows = _label_column(params.data.source, source)
    if not names:
        return [], numbers(labels, rows, column)
    domains = params.teacher.domains
    if (domains == "auto" or "source" not in domains) and not set(map(spelling, labels)) <= set(map(spelling, names)):
        names = sorted(set(labels))
    key = "data.source.labels, or teacher.domains: [target] to leave the source's labels out"
    return names, class_indices(labels, rows, names, column, key)


def _label_column(table: Table, usable: Usable) -> tuple[str, Sequence[str], Sequence[int]]:
    """File and column for errors, the labels, and their row numbers."""
    column = f"{table.path}, column {table.columns.label!r}"
    return column, usable.frame["label"].tolist(), usable.frame["row"].tolist()


def _check_pairs(data: Data) -> None:
    tables: dict[str, Table | None] = {"source": data.source, "unlabelled": data.unlabelled}
    for domain, table in tables.items():
        if table is not None and (table.columns.text_pair is None) != (data.target.columns.text_pair is None):
            kinds = ["pairs" if each.columns.text_pair else "single texts" for each in (table, data.target)]
            whose = "the source has" if domain == "source" else "the unlabelled table has"
            raise InputError(
                f"data.{domain}.columns.text_pair: {whose} {kinds[0]} and the target {kinds[1]}; "
                "accepted: a second text in both or in neither"
            )


def split_usable(table: Target, target: Usable, labels: Labels, names: list[str], seed: int) -> Split:
    """Draw the target's three parts. Raises InputError naming the size that is too large."""
    groups = None
    if "groups" in target.frame:
        groups = [tuple(normalise(value) for value in values) for values in target.frame["groups"]]
    try:
        return split_target(table, strata(labels), list(keys(target)), groups, names, seed)
    except InputError as error:
        if not any(target.dropped.values()):
            raise
        line = f"{error} ({counts(target.dropped)} of its {target.read:,} rows were dropped)"
        raise InputError(line) from error
