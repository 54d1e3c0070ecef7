"""Seeded, stratified draws: test, validation and the scarce train part of the target; some rows of the source.

What is drawn hangs on the seed and on each row's own key, not on the rows around it: the test set is drawn first,
validation from what is left, and train last, so that neither moves when train grows, and a longer train part holds
the shorter one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

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


def quantile_bins(labels: npt.NDArray[np.floating], bins: int = BINS) -> Indices:
    """Strata of numbers: which of the `bins` quantile ranges each is in. Equal numbers are in the same."""
    if not len(labels):
        return np.zeros(0, dtype=np.int64)
    edges = np.unique(np.quantile(labels, np.arange(1, bins) / bins))
    return np.searchsorted(edges, labels, side="right").astype(np.int64)


def sample(strata: Indices, keys: Sequence[str], count: int, seed: int) -> Indices:
    """Draw `count` of the rows, ascending, each stratum in its proportion.

    Args:
        strata: (rows,), the class or bin of each row.
        keys: what tells each row from the others, the same in every run.
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

    With groups, validation and test are made of whole groups, by the first value of each row, and hold no more rows
    than asked for, as near as groups allow; what shares any value with them is left out; train is drawn row by row from
    what is left.

    Args:
        strata: (rows,), class indices in the order of `names`, or bins of a regression's labels.
        keys: what tells each row from the others, the same in every run.
        groups: what each row must not share with a row of another part, the same number of values for each; rows
            whose first value is empty stand alone.
        names: the classes; empty for regression.

    Raises InputError naming the size that cannot be had.
    """
    order = _shuffled(keys, seed)
    members = None if groups is None else _members(groups, keys, seed)
    free = np.ones(len(strata), dtype=bool)
    parts = {}
    for name, count, left in (("test", target.test, ""), ("validation", target.validation, " left after test")):
        if count > free.sum():
            raise InputError(f"data.target.{name}: got {count:,}; the target has {free.sum():,} rows{left}")
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
    """The first rows of the shuffled ones left: so many of each class, or so many in proportion."""
    left = "rows left after validation and test"
    counts = np.bincount(strata[order], minlength=len(names))
    if target.per_class is not None:
        smallest = int(counts.argmin())
        if target.per_class > counts[smallest]:
            raise InputError(
                f"data.target.per_class: got {target.per_class:,}; "
                f"the smallest class {shown(names[smallest])} has {counts[smallest]:,} {left}"
            )
        return np.concatenate([order[strata[order] == each][: target.per_class] for each in range(len(names))])
    if target.rows is not None:
        key, given, count = "rows", f"{target.rows:,}", target.rows
    else:
        key, given = "fraction", f"{target.fraction}"
        count = int((target.fraction or 0) * len(order) + 0.5)
    if count > len(order):
        raise InputError(f"data.target.{key}: got {given}; the target has {len(order):,} {left}")
    if names and not counts.all():
        raise InputError(f"data.target.{key}: class {shown(names[int(counts.argmin())])} has no {left}")
    if count < max(len(names), 1):
        wanted = "one of each class" if names else "one or more"
        raise InputError(
            f"data.target.{key}: got {given}, {count:,} of {len(order):,} {left}; "
            f"accepted: {max(len(names), 1)} rows or more, {wanted}"
        )
    # Each class has a row before proportions count: nothing is learnt of a class without one.
    return _stratified(strata, order, first=0.0 if names else 0.5)[:count]


def _shuffled(keys: Sequence[str], seed: int) -> Indices:
    """Positions in an order that the seed and each key decide, on any machine and under any version of numpy."""
    ranks = [blake2b(f"{seed} {key}".encode(), digest_size=16).digest() for key in keys]
    return np.asarray(sorted(range(len(ranks)), key=ranks.__getitem__), dtype=np.int64)


def _stratified(strata: Indices, order: Indices, first: float = 0.5) -> Indices:
    """Reorder positions so that every beginning holds the strata in proportion.

    The members of a stratum are spread evenly: of n, the r-th (from 0) stands at (r + first) / n of the way. That is
    Webster's apportionment for `first` 0.5, and Adams's, where each stratum has a row before any has two, for 0.
    """
    place = np.zeros(len(order))
    for stratum in np.unique(strata[order]):
        inside = strata[order] == stratum
        size = inside.sum()
        place[inside] = (np.arange(size) + first) / size
    return order[np.argsort(place, kind="stable")]


def _sharing(groups: Sequence[Sequence[str]], part: Indices) -> npt.NDArray[np.bool_]:
    """True where any value of a row stands in a row of the part too."""
    taken = {value for position in part for value in groups[position] if value}
    return np.fromiter((not taken.isdisjoint(values) for values in groups), dtype=np.bool_, count=len(groups))


def _members(groups: Sequence[Sequence[str]], keys: Sequence[str], seed: int) -> list[Indices]:
    """The positions of the rows with each first value, the groups shuffled."""
    rows: dict[str, list[int]] = {}
    for position, ((group, *_), key) in enumerate(zip(groups, keys, strict=True)):
        rows.setdefault(f"group {group}" if group else f"row {key}", []).append(position)
    names = list(rows)
    return [np.asarray(rows[names[index]], dtype=np.int64) for index in _shuffled(names, seed)]


def _whole_groups(strata: Indices, groups: list[Indices], count: int) -> Indices:
    """Take groups that fit until `count` rows are full: first within each stratum's share, then within the whole."""
    if not groups:
        return np.zeros(0, dtype=np.int64)
    kinds = int(strata.max()) + 1
    rows = np.concatenate(groups)
    share = np.bincount(strata[_stratified(strata, rows)[:count]], minlength=kinds)
    taken: list[Indices] = []
    passed: list[Indices] = []
    for group in groups:
        holds = np.bincount(strata[group], minlength=kinds)
        if (holds <= share).all():
            share -= holds
            taken.append(group)
        else:
            passed.append(group)
    room = int(share.sum())
    for group in passed:
        if len(group) <= room:
            room -= len(group)
            taken.append(group)
    return np.concatenate(taken) if taken else np.zeros(0, dtype=np.int64)
