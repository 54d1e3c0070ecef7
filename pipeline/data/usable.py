"""The rows of a user's table that can be used: not empty, no leak of a held-out text, each once."""

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.data.leaks import Row, as_read, empty, gives_away, mirrored, normalise
from pipeline.data.loading import Files, load_table
from pipeline.data.raters import means, outvoted, spread
from pipeline.errors import InputError
from pipeline.params.data import Table
from pipeline.params.types import Domain
from pipeline.storage.fingerprint import hash64

SIDES = {"text": "form", "text_pair": "form_pair"}
"""The columns of texts, and those of their forms."""


@dataclass(frozen=True)
class Usable:
    """The rows of a domain that can be used, and counts of the others.

    Args:
        frame: as `load_table` returns it, without the dropped rows, and with `form` and, of pairs, `form_pair`: numbers
            that are equal where texts read the same, and else differ but for one in ten million tables of two million.
        read: rows of the user's table, after `where`.
        dropped: rows by reason; a row has one reason, the first that applies.
    """

    frame: pd.DataFrame
    read: int
    dropped: dict[str, int]

    def rows(self) -> Iterator[Row]:
        """The texts of each row."""
        return zip(*(self.frame[side].tolist() for side in SIDES if side in self.frame), strict=True)

    def normalised(self, positions: Sequence[int]) -> list[Row]:
        """The form of some rows' texts in which leaks are found."""
        some = replace(self, frame=self.frame.iloc[list(positions)])
        return [tuple(map(normalise, row)) for row in some.rows()]

    def forms(self) -> pd.DataFrame:
        """The columns in which duplicates are found."""
        return self.frame[[form for form in SIDES.values() if form in self.frame]]

    def without(self, mask: npt.NDArray[np.bool_], reason: str) -> "Usable":
        """Drop the rows where `mask` is true."""
        return Usable(self.frame[~mask], self.read, self.dropped | {reason: int(mask.sum())})

    def without_any(self, mask: npt.NDArray[np.bool_], reason: str) -> "Usable":
        """Drop the rows where `mask` is true; a reason that few tables know is counted only if there are any."""
        return self.without(mask, reason) if mask.any() else self


def read_labelled(
    table: Table,
    domain: Domain,
    held_out: Sequence[Row] = (),
    *,
    partly: bool = False,
    regression: bool = False,
    files: Files | None = None,
) -> Usable:
    """Load a table and drop rows that are empty, leak a held-out row, or repeat another: each text has one label.

    Of several rows with the same texts, the label is that of most rows; without a majority none is used. In a
    regression it is the mean of their numbers. A pair in the other order is the same pair if the labels show it.

    Args:
        partly: whether there may be rows without a label; they are dropped, too.
        files: the table, if it was read before.
    """
    usable = _read(table, domain, labelled=True, partly=partly, files=files)
    if partly or "" in table.labels.values():
        usable = usable.without((usable.frame["label"] == "").to_numpy(dtype=np.bool_), "unlabelled")
    usable = _compared(usable, {"leaked": gives_away(held_out)})
    labels, rows = usable.frame["label"].tolist(), _numbers(usable.forms())
    if regression:
        labels, later = means(rows, labels)
        usable = replace(usable, frame=usable.frame.assign(label=labels))
        usable = usable.without(np.zeros_like(later), "conflicting").without_any(later, "averaged")
    else:
        lost, tied = outvoted(rows, labels)
        usable = usable.without(lost, "conflicting").without_any(tied[~lost], "tied")
    usable = usable.without(usable.forms().duplicated().to_numpy(), "duplicate")
    if table.columns.text_pair is not None:
        labels, pairs = usable.frame["label"].tolist(), list(usable.forms().itertuples(index=False, name=None))
        mirror = mirrored(pairs, labels, spread(labels) if regression else None)
        usable = usable.without_any(mirror, "mirrored")
    return _not_empty(usable, table, domain)


def read_unlabelled(table: Table, held_out: Sequence[Row], train: Sequence[Row], files: Files | None = None) -> Usable:
    """Load a table without its labels and drop rows that are empty, leak a held-out row, are in train or duplicates."""
    checks = {"leaked": gives_away(held_out), "in_train": set(train).__contains__}
    usable = _compared(_read(table, "unlabelled", labelled=False, files=files), checks)
    return _not_empty(usable.without(usable.forms().duplicated().to_numpy(), "duplicate"), table, "unlabelled")


def _read(table: Table, domain: Domain, *, labelled: bool, partly: bool = False, files: Files | None = None) -> Usable:
    frame = load_table(table, f"data.{domain}", labelled=labelled, partly=partly, files=files)
    usable = Usable(frame, len(frame), {})
    return usable.without(empty(usable.rows()), "empty")


def _compared(usable: Usable, checks: Mapping[str, Callable[[Row], bool]]) -> Usable:
    """Drop the rows of whose normalised texts a check is true, each by its reason, and hash the others' forms.

    The normalised texts and the forms, each as large as the table, are not kept.
    """
    reasons = np.zeros(len(usable.frame), dtype=np.int8)
    forms = {form: array("q") for side, form in SIDES.items() if side in usable.frame}
    for position, row in enumerate(usable.rows()):
        normalised = tuple(map(normalise, row))
        for which, check in enumerate(checks.values(), start=1):
            if check(normalised):
                reasons[position] = which
                break
        for form, side, known in zip(forms.values(), row, normalised, strict=True):
            form.append(hash64(as_read(side, known)))
    columns = {name: np.asarray(form, dtype=np.int64) for name, form in forms.items()}
    dropped = {reason: int((reasons == which).sum()) for which, reason in enumerate(checks, start=1)}
    return Usable(usable.frame.assign(**columns)[reasons == 0], usable.read, usable.dropped | dropped)


def _numbers(forms: pd.DataFrame) -> npt.NDArray[np.int64]:
    """A number for each row, equal for rows of the same texts."""
    if len(forms.columns) == 1:
        return forms["form"].to_numpy()
    return forms.groupby(list(forms.columns), sort=False).ngroup().to_numpy().astype(np.int64)


def _not_empty(usable: Usable, table: Table, domain: Domain) -> Usable:
    if usable.frame.empty:
        raise InputError(f"data.{domain}.path: no row of {table.path} can be used ({counts(usable.dropped)})")
    return usable


def keys(usable: Usable) -> Iterator[str]:
    """Each row's key for draws: its number, which depends neither on dropped rows nor on the order of columns."""
    return map(str, usable.frame["row"])


def counts(dropped: dict[str, int]) -> str:
    """Counts by reason; conflicting rows are rare and listed only if there are any."""
    return ", ".join(
        f"{count:,} {reason.replace('_', ' ')}" for reason, count in dropped.items() if count or reason != "conflicting"
    )
