"""The label of a text that several rows have: what most of them say, or the mean of their numbers."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline.data.leaks import Row

Mask = npt.NDArray[np.bool_]


def outvoted(rows: Sequence[Row], labels: Sequence[str]) -> tuple[Mask, Mask]:
    """True where most rows of the same texts have another label, and true where no label has more rows than others.

    Args:
        rows: as texts are read.
        labels: classes.
    """
    times = Counter(rows)
    votes: dict[Row, Counter[str]] = defaultdict(Counter)
    for row, label in zip(rows, labels, strict=True):
        if times[row] > 1:
            votes[row][label] += 1
    most = {row: max(found.values()) for row, found in votes.items()}
    tied = {row for row, found in votes.items() if list(found.values()).count(most[row]) > 1}
    lost = [
        row in most and row not in tied and votes[row][label] < most[row]
        for row, label in zip(rows, labels, strict=True)
    ]
    return np.array(lost, dtype=np.bool_), np.array([row in tied for row in rows], dtype=np.bool_)


def means(rows: Sequence[Row], labels: Sequence[str]) -> tuple[list[str], Mask]:
    """Each row's label, of the first of several rows their mean; and true where a row is not the first of those.

    Only texts with different numbers count; labels that are no numbers stay as they are, for the error that names them.
    """
    found: dict[Row, list[int]] = defaultdict(list)
    for position, row in enumerate(rows):
        found[row].append(position)
    averaged = list(labels)
    later = np.zeros(len(rows), dtype=np.bool_)
    for positions in found.values():
        values = _finite([labels[position] for position in positions])
        if len(set(values)) > 1:
            averaged[positions[0]] = f"{math.fsum(values) / len(values):.9g}"
            later[positions[1:]] = True
    return averaged, later


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
