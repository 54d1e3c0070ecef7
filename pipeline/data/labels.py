"""What the label column means: classes in their order, or numbers."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from pipeline.data.quoting import listed, shown
from pipeline.errors import InputError, nearest

LARGEST = float(np.finfo(np.float32).max)

MARKUP = ("</", "<!")
"""What ends or hides a script in HTML."""


def class_names(found: Iterable[str], given: Sequence[str] | None, place: str) -> list[str]:
    """The classes in order: as `data.labels` gives them, or sorted by name.

    Args:
        found: the labels of the target's rows.
        place: the target's file and column, for errors.

    Raises InputError if there are fewer than two, if one could end the script of a page it is plotted on, or if
    `data.labels` repeats one or names one that no row has.
    """
    present = set(found)
    for name in sorted(present):
        # DVC writes them into its pages as they are.
        if any(sign in name for sign in MARKUP):
            raise InputError(
                f"{place}: class {shown(name)}; accepted: names without {' or '.join(MARKUP)} "
                "(data.target.labels gives it another)"
            )
    if len(present) < 2:
        raise InputError(f"{place}: every row is {listed(present)}; accepted: two classes or more")
    if given is None:
        return sorted(present)
    for name in given:
        if given.count(name) > 1:
            raise InputError(f"data.labels: {shown(name)} stands twice")
        if name not in present:
            raise InputError(
                f"data.labels: no row of the target has {shown(name)}; found: {listed(sorted(present))}"
                f"{_near(name, present)}"
            )
    return list(given)


def class_indices(
    labels: Sequence[str], rows: Sequence[int], names: Sequence[str], place: str, key: str
) -> npt.NDArray[np.int64]:
    """Each label's index in `names`.

    Args:
        rows: the number of each label's row, for errors.
        place: file and column, for errors.
        key: the parameter that can mend an unknown label, for errors.

    Raises InputError naming the first row whose label is not in `names`.
    """
    index = {name: position for position, name in enumerate(names)}
    for label, row in zip(labels, rows, strict=True):
        if label not in index:
            raise InputError(
                f"{place}, row {row}: label {shown(label)} is no class of the target; "
                f"accepted: {listed(names)}{_near(label, names)} (see {key})"
            )
    return np.asarray([index[label] for label in labels], dtype=np.int64)


def numbers(labels: Sequence[str], rows: Sequence[int], place: str) -> npt.NDArray[np.float32]:
    """Each label as a number.

    Raises InputError naming the first row whose label is no finite number.
    """
    out = np.zeros(len(labels), dtype=np.float32)
    for position, (label, row) in enumerate(zip(labels, rows, strict=True)):
        try:
            value = float(label)
        except ValueError:
            value = float("nan")
        if not abs(value) <= LARGEST:
            raise InputError(f"{place}, row {row}: got {shown(label)}; accepted: a finite number (task: regression)")
        out[position] = value
    return out


def _near(name: str, accepted: Iterable[str]) -> str:
    # Where a text column was taken for the labels, comparing letter by letter would take minutes.
    return nearest(name, [option for option in accepted if len(option) <= 100]) if len(name) <= 100 else ""
