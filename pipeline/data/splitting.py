"""Seeded, stratified draws: test, validation and the scarce train part of the target, and rows of the source.

The order of rows depends on the seed and on each row's own key, not on the other rows. Test is drawn first, validation
from the rest, and train last, so that test and validation stay the same when train grows, and a larger train part
contains the smaller one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.data.quoting import shown
from pipeline.errors import InputError
from pipeline.params.data import Target

Indices = npt.NDArray[np.int64]
BINS = 10
"""Strata of a regression's labels."""


@dataclass(frozen=True)
class Split:
    """Positions of the target's rows, ascending, no row in two parts."""

    train: Indices
    validation: Indices
    test: Indices


def quantile_bins(labels: npt.NDArray[np.floating]) -> Indices:
    """The quantile range, of `BINS`, that each number is in: strata of a regression. Equal numbers are in the same."""
    if not len(labels):
        return np.zeros(0, dtype=np.int64)
    edges = np.unique(np.quantile(labels, np.arange(1, BINS) / BINS))
    return np.searchsorted(edges, labels, side="right").astype(np.int64)


def strata(labels: npt.NDArray[Any]) -> Indices:
    """The strata of a draw: classes, or quantile bins of numbers."""
    return labels if labels.dtype == np.int64 else quantile_bins(labels)


def sample(strata: Indices, keys: Iterable[str], count: int, seed: int) -> Indices:
    """Draw `count` of the rows, each stratum in its proportion; returns positions, ascending.

    Args:
        strata: (rows,), the class or bin of each row.
        keys: a unique string for each row, the same in every run.
    """
    return np.sort(_stratified(strata, _shuffled(keys, seed))[:count])


def split_target(
    target: Target,
    strata: Indices,
    keys: Sequence[str],
    groups: Sequence[Sequence[str]] | None,
    names: Sequence[str],
    seed: int,
) -> Split:
    """Draw the target's three parts.

    With groups, validation and test are made of whole groups, by the first value of each row, and hold as many rows as
    whole groups allow, at most those requested. Rows that share any value with them are left out; train is drawn row by
    row from the rest.

    Args:
        strata: (rows,), class indices in the order of `names`, or bins of a regression's labels.
        keys: a unique string for each row, the same in every run.
        groups: values that rows of different parts must not share, the same number for each row; a row whose first
            value is empty is a group of its own.
        names: the classes; empty for regression.

    Raises InputError naming the size that is too large.
    """
    order = _shuffled(keys, seed)
    members = None if groups is None else _members(groups, keys, seed)
    free = np.ones(len(strata), dtype=bool)
    parts = {}
    for name, count, remaining in (("test", target.test, ""), ("validation", target.validation, " left after test")):
        if count > free.sum():
            raise InputError(f"data.target.{name}: got {count:,}; the target has {free.sum():,} rows{remaining}")
        if members is None:
            part = _stratified(strata, order[free[order]])[:count]
        else:
            part = _whole_groups(strata, [group for group in members if free[group].all()], count)
        if not len(part):
            column = "data.target.columns.group"
            raise InputError(f"data.target.{name}: got {count:,}; every group of {column} has more rows than that")
        free[part] = False
        if groups is not None:
            free &= ~_sharing(groups, part)
        parts[name] = np.sort(part)
    train = _train(target, strata, order[free[order]], names)
    return Split(train=np.sort(train), validation=parts["validation"], test=parts["test"])


def _train(target: Target, strata: Indices, order: Indices, names: Sequence[str]) -> Indices:
    """The first rows of `order`: `target.per_class` of each class, or a number of rows in proportion."""
    remaining = "rows left after validation and test"
    counts = np.bincount(strata[order], minlength=len(names))
    if target.per_class is not None:
        smallest = int(counts.argmin())
        if target.per_class > counts[smallest]:
            raise InputError(
                f"data.target.per_class: got {target.per_class:,}; "
                f"the smallest class {shown(names[smallest])} has {counts[smallest]:,} {remaining}"
            )
        return np.concatenate([order[strata[order] == index][: target.per_class] for index in range(len(names))])
    if target.rows is not None:
        key, value, count = "rows", f"{target.rows:,}", target.rows
    else:
        key, value = "fraction", f"{target.fraction}"
        count = int((target.fraction or 0) * len(order) + 0.5)
    if count > len(order):
        raise InputError(f"data.target.{key}: got {value}; the target has {len(order):,} {remaining}")
    if names and not counts.all():
        raise InputError(f"data.target.{key}: class {shown(names[int(counts.argmin())])} has no {remaining}")
    if count < max(len(names), 1):
        minimum = "one of each class" if names else "one or more"
        raise InputError(
            f"data.target.{key}: got {value}, {count:,} of {len(order):,} {remaining}; "
            f"accepted: {max(len(names), 1)} rows or more, {minimum}"
        )
    # Each class gets its first row before any gets a second: a class without rows cannot be learned.
    return _stratified(strata, order, first=0.0 if names else 0.5)[:count]


def _shuffled(keys: Iterable[str], seed: int) -> Indices:
    """Positions ordered by a hash of the seed and each key: the same on any machine and with any version of numpy."""
    hashes = bytearray()
    for key in keys:
        hashes += blake2b(f"{seed} {key}".encode(), digest_size=16).digest()
    high, low = np.frombuffer(hashes, dtype=">u8").reshape(-1, 2).T
    return np.lexsort((low, high)).astype(np.int64)


def _stratified(strata: Indices, order: Indices, first: float = 0.5) -> Indices:
    """Reorder positions so that every prefix holds the strata in proportion.

    The members of a stratum are spread evenly: of n, the r-th (from 0) is at (r + first) / n of the way. That is
    Webster's apportionment for `first` 0.5, and Adams's, in which each stratum has a row before any has two, for 0.
    """
    fraction = np.zeros(len(order))
    for stratum in np.unique(strata[order]):
        inside = strata[order] == stratum
        size = inside.sum()
        fraction[inside] = (np.arange(size) + first) / size
    return order[np.argsort(fraction, kind="stable")]


def _sharing(groups: Sequence[Sequence[str]], part: Indices) -> npt.NDArray[np.bool_]:
    """True where a row shares a value with a row of the part."""
    taken = {value for position in part for value in groups[position] if value}
    return np.fromiter((not taken.isdisjoint(values) for values in groups), dtype=np.bool_, count=len(groups))


def _members(groups: Sequence[Sequence[str]], keys: Sequence[str], seed: int) -> list[Indices]:
    """The positions of each group's rows, a group being the rows with one first value; the groups are shuffled."""
    rows: dict[str, list[int]] = {}
    for position, ((group, *_), key) in enumerate(zip(groups, keys, strict=True)):
        rows.setdefault(f"group {group}" if group else f"row {key}", []).append(position)
    names = list(rows)
    return [np.asarray(rows[names[index]], dtype=np.int64) for index in _shuffled(names, seed)]


def _whole_groups(strata: Indices, groups: list[Indices], count: int) -> Indices:
    """Take whole groups up to `count` rows: first those that fit in each stratum's quota, then any that fit."""
    if not groups:
        return np.zeros(0, dtype=np.int64)
    strata_count = int(strata.max()) + 1
    rows = np.concatenate(groups)
    quota = np.bincount(strata[_stratified(strata, rows)[:count]], minlength=strata_count)
    taken: list[Indices] = []
    skipped: list[Indices] = []
    for group in groups:
        counts = np.bincount(strata[group], minlength=strata_count)
        if (counts <= quota).all():
            quota -= counts
            taken.append(group)
        else:
            skipped.append(group)
    room = int(quota.sum())
    for group in skipped:
        if len(group) <= room:
            room -= len(group)
            taken.append(group)
    return np.concatenate(taken) if taken else np.zeros(0, dtype=np.int64)
