"""The rows of a user's table that can be used: not empty, no leak of a held-out text, each once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.data.leaks import Row, as_read, empty, leaked, mirrored, normalise, repeated
from pipeline.data.loading import load_table
from pipeline.data.raters import means, outvoted, spread
from pipeline.errors import InputError
from pipeline.params.data import Table
from pipeline.params.types import Domain


@dataclass(frozen=True)
class Usable:
    """The rows of a domain that can be used, and counts of the others.

    Args:
        frame: as `load_table` returns it, without the dropped rows.
        normalised: the normalised texts of each row, in which leaks are found.
        as_read: the form of each row's texts in which duplicates are found.
        read: rows of the user's table, after `where`.
        dropped: rows by reason; a row has one reason, the first that applies.
    """

    frame: pd.DataFrame
    normalised: list[Row]
    as_read: list[Row]
    read: int
    dropped: dict[str, int]

    def without(self, mask: npt.NDArray[np.bool_], reason: str) -> "Usable":
        """Drop the rows where `mask` is true."""
        return Usable(
            frame=self.frame[~mask],
            normalised=[row for row, drop in zip(self.normalised, mask, strict=True) if not drop],
            as_read=[row for row, drop in zip(self.as_read, mask, strict=True) if not drop],
            read=self.read,
            dropped=self.dropped | {reason: int(mask.sum())},
        )

    def without_any(self, mask: npt.NDArray[np.bool_], reason: str) -> "Usable":
        """Drop the rows where `mask` is true; a reason that few tables know is counted only if there are any."""
        return self.without(mask, reason) if mask.any() else self


def read_labelled(
    table: Table, domain: Domain, held_out: Sequence[Row] = (), *, partly: bool = False, regression: bool = False
) -> Usable:
    """Load a table and drop rows that are empty, leak a held-out row, or repeat another: each text has one label.

    Of several rows with the same texts, the label is that of most rows; without a majority none is used. In a
    regression it is the mean of their numbers. A pair in the other order is the same pair if the labels show it.

    Args:
        partly: whether there may be rows without a label; they are dropped, too.
    """
    usable = _read(table, domain, labelled=True, partly=partly)
    if partly or "" in table.labels.values():
        usable = usable.without((usable.frame["label"] == "").to_numpy(dtype=np.bool_), "unlabelled")
    usable = usable.without(leaked(usable.normalised, held_out), "leaked")
    labels = usable.frame["label"].tolist()
    if regression:
        labels, later = means(usable.as_read, labels)
        usable = replace(usable, frame=usable.frame.assign(label=labels))
        usable = usable.without(np.zeros_like(later), "conflicting").without_any(later, "averaged")
    else:
        lost, tied = outvoted(usable.as_read, labels)
        usable = usable.without(lost, "conflicting").without_any(tied[~lost], "tied")
    usable = usable.without(repeated(usable.as_read), "duplicate")
    labels = usable.frame["label"].tolist()
    mirror = mirrored(usable.as_read, labels, spread(labels) if regression else None)
    return _not_empty(usable.without_any(mirror, "mirrored"), table, domain)


def read_unlabelled(table: Table, held_out: Sequence[Row], train: Sequence[Row]) -> Usable:
    """Load a table without its labels and drop rows that are empty, leak a held-out row, are in train or duplicates."""
    usable = _read(table, "unlabelled", labelled=False)
    usable = usable.without(leaked(usable.normalised, held_out), "leaked")
    in_train = set(train)
    mask = np.fromiter((row in in_train for row in usable.normalised), dtype=np.bool_)
    usable = usable.without(mask, "in_train")
    return _not_empty(usable.without(repeated(usable.as_read), "duplicate"), table, "unlabelled")


def _read(table: Table, domain: Domain, *, labelled: bool, partly: bool = False) -> Usable:
    frame = load_table(table, f"data.{domain}", labelled=labelled, partly=partly)
    sides = [frame[column].tolist() for column in ("text", "text_pair") if column in frame]
    rows: list[Row] = list(zip(*sides, strict=True))
    normalised = [tuple(normalise(side) for side in row) for row in rows]
    forms = [tuple(map(as_read, row, known)) for row, known in zip(rows, normalised, strict=True)]
    return Usable(frame, normalised, forms, len(frame), {}).without(empty(rows), "empty")


def _not_empty(usable: Usable, table: Table, domain: Domain) -> Usable:
    if usable.frame.empty:
        raise InputError(f"data.{domain}.path: no row of {table.path} can be used ({counts(usable.dropped)})")
    return usable


def keys(usable: Usable) -> list[str]:
    """Each row's key for draws: its number, which depends neither on dropped rows nor on the order of columns."""
    return [str(row) for row in usable.frame["row"]]


def counts(dropped: dict[str, int]) -> str:
    """Counts by reason; conflicting rows are rare and listed only if there are any."""
    return ", ".join(
        f"{count:,} {reason.replace('_', ' ')}" for reason, count in dropped.items() if count or reason != "conflicting"
    )
