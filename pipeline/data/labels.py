"""The values of the label column: classes in order, or numbers."""

import re
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from pipeline.data.quoting import listed, shown
from pipeline.errors import InputError, nearest
from pipeline.params.yaml12 import inline

LARGEST = float(np.finfo(np.float32).max)
"""The largest label of a regression, which is stored as float32."""
MARKUP = ("</", "<!")
"""Characters that end or hide a script in HTML."""
_WHOLE = re.compile(r"([-+]?\d+)\.0+")


def spelling(label: str) -> str:
    """The form in which labels are one class: without letter case and extra white space; 1.0 is 1."""
    folded = " ".join(label.casefold().split())
    whole = _WHOLE.fullmatch(folded)
    return whole[1] if whole else folded


def class_names(labels: Iterable[str], order: Sequence[str] | None, column: str) -> list[str]:
    """The classes in order: the order of `data.labels`, or sorted by name.

    Args:
        labels: of the target's rows.
        order: the classes in `data.labels`, None for the order of their names.
        column: the target's file and column, for errors.

    Raises InputError if there are fewer than two classes, if two differ in letter case alone, if a name could end a
    script in an HTML page, or if `data.labels` has a duplicate or a class that no row has.
    """
    present = set(labels)
    spelt: dict[str, str] = {}
    for name in sorted(present):
        if (other := spelt.setdefault(spelling(name), name)) != name:
            raise InputError(
                f"{column}: classes {shown(other)} and {shown(name)} are one class in two spellings; accepted: one "
                f"spelling (data.target.labels: {{{inline(name)}: {inline(other)}}}), or names that differ in more"
            )
    for name in sorted(present):
        # DVC writes class names into its HTML plots without escaping them.
        if any(sign in name for sign in MARKUP):
            raise InputError(
                f"{column}: class {shown(name)}; accepted: names without {' or '.join(MARKUP)} "
                "(rename it with data.target.labels)"
            )
    if len(present) < 2:
        raise InputError(f"{column}: every row is {listed(present)}; accepted: two classes or more")
    if order is None:
        return sorted(present)
    for name in order:
        if order.count(name) > 1:
            raise InputError(f"data.labels: duplicate class {shown(name)}")
        if name not in present:
            raise InputError(
                f"data.labels: no row of the target has {shown(name)}; found: {listed(sorted(present))}"
                f"{_nearest(name, present)}"
            )
    return list(order)


def class_indices(
    labels: Sequence[str], rows: Sequence[int], names: Sequence[str], column: str, key: str
) -> npt.NDArray[np.int64]:
    """Each label's index in `names`; a label in another spelling, such as 1.0 for 1, is the same class.

    Args:
        rows: the number of each label's row, for errors.
        column: file and column, for errors.
        key: the parameter that can fix an unknown label, for errors.

    Raises InputError naming the first row whose label is not in `names`.
    """
    spelt = {spelling(name): position for position, name in enumerate(names)}
    index = {label: spelt[spelling(label)] for label in set(labels) if spelling(label) in spelt}
    for label, row in zip(labels, rows, strict=True):
        if label not in index:
            raise InputError(
                f"{column}, row {row}: label {shown(label)} is not a class of the target; "
                f"accepted: {listed(names)}{_nearest(label, names)} (see {key})"
            )
    return np.asarray([index[label] for label in labels], dtype=np.int64)


def numbers(labels: Sequence[str], rows: Sequence[int], column: str) -> npt.NDArray[np.float32]:
    """Each label as a float32.

    Raises InputError naming the first row whose label is not a finite number.
    """
    values = np.zeros(len(labels), dtype=np.float32)
    for position, (label, row) in enumerate(zip(labels, rows, strict=True)):
        try:
            value = float(label)
        except ValueError:
            value = float("nan")
        if not abs(value) <= LARGEST:
            raise InputError(f"{column}, row {row}: got {shown(label)}; accepted: a finite number (task: regression)")
        values[position] = value
    return values


def _nearest(name: str, accepted: Iterable[str]) -> str:
    # If the label column holds whole texts, comparing them letter by letter would take minutes.
    return nearest(name, [option for option in accepted if len(option) <= 100]) if len(name) <= 100 else ""
