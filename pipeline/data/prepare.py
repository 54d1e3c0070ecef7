"""The stage `prepare`: from two tables a user named to the texts of source, train, validation and test."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.data.labels import class_indices, class_names, numbers
from pipeline.data.leaks import Row, conflicting, empty, leaked, normalise, repeated
from pipeline.data.loading import load_table
from pipeline.data.splitting import Indices, Split, quantile_bins, sample, split_target
from pipeline.data.texts import Labels, Texts, write_texts
from pipeline.errors import InputError
from pipeline.params.data import Table
from pipeline.params.schema import Params
from pipeline.params.types import Domain
from pipeline.storage.atomic import publish_folder
from pipeline.storage.json_file import write_json


@dataclass(frozen=True)
class Usable:
    """The rows of a domain that can be used, and counts of the others.

    Args:
        frame: as `load_table` returns it, without the dropped rows.
        normalised: the normalised texts of each row.
        read: rows of the user's table, after `where`.
        dropped: rows by reason; a row has one reason, the first of empty, leaked, conflicting, duplicate.
    """

    frame: pd.DataFrame
    normalised: list[Row]
    read: int
    dropped: dict[str, int]

    def without(self, mask: npt.NDArray[np.bool_], reason: str) -> "Usable":
        """Drop the rows where `mask` is true."""
        return Usable(
            frame=self.frame[~mask],
            normalised=[row for row, drop in zip(self.normalised, mask, strict=True) if not drop],
            read=self.read,
            dropped=self.dropped | {reason: int(mask.sum())},
        )


def prepare(params: Params, *, out: Path, metrics: Path) -> str:
    """Write `source`, `train`, `validation` and `test.parquet` into `out`, and their sizes and labels into `metrics`.

    Returns a summary in a few words. Raises InputError, before anything is written, if a table, a label or a size
    cannot be used.
    """
    data = params.data
    if data.source is not None:
        _check_pairs(data.source, data.target)
    target = read_usable(data.target, "target")
    names, target_labels = labels_of(params, target)
    split = _split(params, target, target_labels, names)

    # Without a source its file is still written, with no rows.
    source = Usable(target.frame[:0], [], 0, dict.fromkeys(target.dropped, 0))
    if data.source is not None:
        held_out = [target.normalised[position] for part in (split.validation, split.test) for position in part]
        source = read_usable(data.source, "source", held_out)
    source_names, source_labels = _source_labels(params, source, names)
    drawn = _draw(params, source, source_labels)

    splits = {"source": _texts(source, drawn, source_labels, source_names, "source")}
    for name, part in (("train", split.train), ("validation", split.validation), ("test", split.test)):
        splits[name] = _texts(target, part, target_labels, names, "target")
    report = {
        "task": params.task,
        "labels": names,
        "splits": {name: _summary(texts) for name, texts in splits.items()},
        "read": {"source": source.read, "target": target.read},
        "dropped": {"source": source.dropped, "target": target.dropped},
        "unused": {
            "source": len(source.frame) - len(drawn),
            "target": len(target.frame) - sum(len(texts) for name, texts in splits.items() if name != "source"),
        },
    }
    with publish_folder(out) as folder:
        for name, texts in splits.items():
            write_texts(folder / f"{name}.parquet", texts, "source" if name == "source" else "target")
    write_json(metrics, report)

    sizes = ", ".join(f"{len(texts):,} {name}" for name, texts in splits.items())
    reasons = ("leaked", "duplicate", "conflicting", "empty")
    dropped = {reason: source.dropped[reason] + target.dropped[reason] for reason in reasons}
    alone = params.teacher.domains == "auto" and source_names != names
    end = "; the source has other classes than the target, so the teacher trains on the target alone" if alone else ""
    return f"{sizes} texts ({_counts(dropped)} dropped), in {out}{end}"


def read_usable(table: Table, domain: Domain, held_out: Sequence[Row] = ()) -> Usable:
    """Load a table and drop rows that are empty, leak a held-out row, or are duplicates, with another label or not."""
    frame = load_table(table, f"data.{domain}", labelled=True)
    sides = [frame[column].tolist() for column in ("text", "text_pair") if column in frame]
    rows: list[Row] = list(zip(*sides, strict=True))
    normalised = [tuple(normalise(side) for side in row) for row in rows]
    usable = Usable(frame, normalised, len(frame), {}).without(empty(rows), "empty")
    usable = usable.without(leaked(usable.normalised, held_out), "leaked")
    usable = usable.without(conflicting(usable.normalised, usable.frame["label"].tolist()), "conflicting")
    usable = usable.without(repeated(usable.normalised), "duplicate")
    if usable.frame.empty:
        raise InputError(f"data.{domain}.path: no row of {table.path} can be used ({_counts(usable.dropped)})")
    return usable


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
    if (domains == "auto" or "source" not in domains) and not set(labels) <= set(names):
        names = sorted(set(labels))
    key = "data.source.labels, or teacher.domains: [target] to leave the source's labels out"
    return names, class_indices(labels, rows, names, column, key)


def _label_column(table: Table, usable: Usable) -> tuple[str, Sequence[str], Sequence[int]]:
    """File and column for errors, the labels, and their row numbers."""
    column = f"{table.path}, column {table.columns.label!r}"
    return column, usable.frame["label"].tolist(), usable.frame["row"].tolist()


def _check_pairs(source: Table, target: Table) -> None:
    if (source.columns.text_pair is None) != (target.columns.text_pair is None):
        kinds = ["pairs" if table.columns.text_pair else "single texts" for table in (source, target)]
        raise InputError(
            f"data.source.columns.text_pair: the source has {kinds[0]} and the target {kinds[1]}; "
            "accepted: a second text in both or in neither"
        )


def _split(params: Params, target: Usable, labels: Labels, names: list[str]) -> Split:
    groups = None
    if "groups" in target.frame:
        groups = [tuple(normalise(value) for value in values) for values in target.frame["groups"]]
    try:
        return split_target(params.data.target, strata(labels), keys(target), groups, names, params.seed)
    except InputError as error:
        if not any(target.dropped.values()):
            raise
        line = f"{error} ({_counts(target.dropped)} of its {target.read:,} rows were dropped)"
        raise InputError(line) from error


def _draw(params: Params, source: Usable, labels: Labels) -> Indices:
    count = None if params.data.source is None else params.data.source.rows
    if count is not None and count > len(labels):
        raise InputError(
            f"data.source.rows: got {count:,}; {len(labels):,} of {source.read:,} rows can be used "
            f"({_counts(source.dropped)})"
        )
    return sample(strata(labels), keys(source), len(labels) if count is None else count, params.seed)


def strata(labels: Labels) -> Indices:
    """The strata of a draw: classes, or quantile bins of numbers."""
    return labels if labels.dtype == np.int64 else quantile_bins(labels)


def keys(usable: Usable) -> list[str]:
    """Each row's key for draws: its number, which depends neither on dropped rows nor on the order of columns."""
    return [str(row) for row in usable.frame["row"]]


def _texts(usable: Usable, part: Indices, labels: Labels, names: list[str], domain: Domain) -> Texts:
    rows = usable.frame.iloc[part]
    return Texts(
        ids=[f"{domain}-{row:06d}" for row in rows["row"]],
        texts=rows["text"].tolist(),
        pairs=rows["text_pair"].tolist() if "text_pair" in rows else None,
        labels=labels[part],
        names=names,
    )


def _summary(texts: Texts) -> dict[str, Any]:
    """Rows of a split, and the distribution of its labels."""
    if texts.names:
        counts = np.bincount(texts.labels, minlength=len(texts.names))
        return {"rows": len(texts), "labels": dict(zip(texts.names, counts.tolist(), strict=True))}
    if not len(texts):
        return {"rows": 0}
    values = texts.labels.astype(np.float64)
    spread = {"mean": values.mean(), "sd": values.std(), "min": values.min(), "max": values.max()}
    return {"rows": len(texts), "labels": {name: round(float(value), 6) for name, value in spread.items()}}


def _counts(dropped: dict[str, int]) -> str:
    """Counts by reason; conflicting rows are rare and listed only if there are any."""
    return ", ".join(f"{count:,} {reason}" for reason, count in dropped.items() if count or reason != "conflicting")
