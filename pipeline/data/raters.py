"""The label of a text that several rows have: what most of them say, or the mean of their numbers."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]


def outvoted(rows: Numbers, labels: Sequence[str]) -> tuple[Mask, Mask]:
    """True where most rows of the same texts have another label, and true where no label has more rows than others.

    Args:
        rows: numbers, equal for the same texts.
        labels: classes.
    """
    lost, tied = np.zeros(len(rows), dtype=np.bool_), np.zeros(len(rows), dtype=np.bool_)
    for positions in _of_several(rows):
        votes = Counter(labels[position] for position in positions)
        most = max(votes.values())
        tied[positions] = list(votes.values()).count(most) > 1
        lost[positions] = [not tied[position] and votes[labels[position]] < most for position in positions]
    return lost, tied


def means(rows: Numbers, labels: Sequence[str]) -> tuple[list[str], Mask]:
    """Each row's label, of the first of several rows their mean; and true where a row is not the first of those.

    Only texts with different numbers count; labels that are no numbers stay as they are, for the error that names them.
    """
    averaged = list(labels)
    later = np.zeros(len(rows), dtype=np.bool_)
    for positions in _of_several(rows):
        values = _finite([labels[position] for position in positions])
        if len(set(values)) > 1:
            averaged[positions[0]] = f"{math.fsum(values) / len(values):.9g}"
            later[positions[1:]] = True
    return averaged, later


def _of_several(rows: Numbers) -> list[list[int]]:
    """The positions of the rows with the same number, of each number that several have."""
    found: dict[int, list[int]] = defaultdict(list)
    for position in np.flatnonzero(pd.Series(rows).duplicated(keep=False)).tolist():
        found[int(rows[position])].append(position)
    return list(found.values())


def spread(labels: Sequence[str]) -> float:
    """The range of the numbers among labels; infinite if one is no number."""
    values = _finite(labels)
    return max(values) - min(values) if values else math.inf


def _finite(labels: Sequence[str]) -> list[float]:
    """The numbers, or nothing if one is none."""
    try:
        values = [float(label) for label in labels]
    except ValueError:
        return []
    return values if all(map(math.isfinite, values)) else []
