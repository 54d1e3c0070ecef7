"""Neighbours looked at: chosen among all, each with π and what teacher and student say of it."""

from collections.abc import Callable, Iterator
from heapq import nsmallest
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.augment.shards import ROWS, scan
from pipeline.errors import InputError
from pipeline.inspect.predictions import CachedPredictions, cached_predictions, load_student, opinion
from pipeline.inspect.query import COLUMNS, ArtifactPaths, Filter, Matches, choose

FEWEST = 64
"""Looked through at first for those that teacher and student disagree on."""
Row = dict[str, Any]
Picks = npt.NDArray[np.int64]
"""Which of the chosen, counted from 0, rising."""
Read = Callable[[Picks, int], Iterator[tuple[int, Row]]]
"""From picks, and how many to join at first (then twice as many, up to ROWS), to each with its row."""


def inspect(
    places: ArtifactPaths, wanted: Filter, show: Callable[[Row], None], *, rows: int, seed: int | None, disagree: bool
) -> str:
    """Show neighbours: a row of `augmented` each, with `pi`, `kept`, `teacher`, `teacher_on_original` and `student`.

    What is not known of a row is None. Rows are read once, but for `disagree` with a seed. The student reads few rows
    more than are shown or, with `disagree`, looked through. What grows with the neighbours is their ids, π, and
    24 bytes for each text that the teacher was asked about.

    Args:
        rows: how many at most.
        seed: picks among those that are wanted; None takes the first.
        disagree: only those that teacher and student put into other classes.

    Returns what was shown, in a few words. Raises InputError if that is nothing.
    """
    chosen = choose(wanted, places)
    order = np.arange(len(chosen)) if seed is None else np.random.default_rng(seed).permutation(len(chosen))
    if disagree:
        _check_classes(places)
    read, missing = _reading(places, chosen)
    if not disagree:
        picks = np.sort(order[:rows])
        for _, row in read(picks, ROWS):
            show(row)
        return f"{len(picks):,} of {len(chosen):,} neighbours in {places.augmented}{missing}"
    shown, looked = 0, len(chosen)
    for so_far, row in _disputed(read, order) if seed is None else _any_disputed(read, order, rows):
        show(row)
        shown += 1
        if shown == rows:
            looked = so_far
            break
    if not shown:
        raise InputError(f"--disagree: teacher and student disagree on none of {looked:,} neighbours")
    return f"teacher and student disagree on {shown:,} of {looked:,} neighbours looked through{missing}"


def _disputed(read: Read, picks: Picks) -> Iterator[tuple[int, Row]]:
    """Those that teacher and student disagree on, each with how many were looked through so far."""
    return ((pick + 1, row) for pick, row in read(picks, FEWEST) if _apart(row))


def _any_disputed(read: Read, order: Picks, most: int) -> Iterator[tuple[int, Row]]:
    """The same, of all in this order; no more than `most` rows are in memory.

    Each time twice as many are looked through, for each time the files are read anew.
    """
    rank = np.argsort(order)
    looked, size = 0, FEWEST
    while most and looked < len(order):
        these = np.sort(order[looked : looked + size])
        looked, size = looked + len(these), 2 * size
        apart = ((int(rank[pick]), row) for pick, row in read(these, FEWEST) if _apart(row))
        for place, row in nsmallest(most, apart, key=lambda each: each[0]):
            most -= 1
            yield place + 1, row


def _check_classes(places: ArtifactPaths) -> None:
    """Raise InputError if teacher and student are not there to choose other classes."""
    if places.cache is None:
        raise InputError("--disagree: there is no teacher cache yet; run the cache_teacher stage first")
    if places.student is None:
        raise InputError("--disagree: there is no student yet; run the distill stage first")
    if not places.names():
        raise InputError(
            "--disagree: got regression, where teacher and student choose no classes; accepted: classification"
        )


def _apart(row: Row) -> bool:
    """Whether teacher and student choose other classes."""
    teacher, student = row["teacher"], row["student"]
    return teacher is not None and student is not None and bool(teacher["class"] != student["class"])


def _reading(places: ArtifactPaths, chosen: Matches) -> tuple[Read, str]:
    """Make what reads rows and adds what selector, teacher and student say of them; and say what is missing."""
    names = [] if places.cache is None and places.student is None else places.names()
    judged = places.judged
    there = {"teacher cache": places.cache, "selection": places.selection, "student": places.student}
    absent = [name for name, place in there.items() if place is None]
    missing = [f"not there yet: {', '.join(absent)}"] if absent else []
    if judged is not None:
        at = pc.index_in(pa.concat_arrays(chosen.ids.values()), value_set=judged["id"])
        judged = judged.select(["pi", "kept"]).take(at).combine_chunks()
    elif places.selection is not None:
        missing.append(f"{places.selection} is of other neighbours: run the distill stage again")
    known = None if places.cache is None else cached_predictions(places.cache, names)
    ask = None
    if places.student is not None:
        ask = load_student(places.student, names, places.drawn_with()["max_length"])

    def read(picks: Picks, size: int) -> Iterator[tuple[int, Row]]:
        given = zip(map(int, picks), _rows(chosen, picks), strict=True)
        while part := list(islice(given, size)):
            size = min(2 * size, ROWS)
            rows = [row for _, row in part]
            nothing: list[Any] = [None] * len(rows)
            selected = [{}] * len(rows) if judged is None else judged.take([pick for pick, _ in part]).to_pylist()
            teacher, on_original = (nothing, nothing) if known is None else _asked(known, rows)
            student = nothing
            if ask is not None:
                outputs = ask([row["text"] for row in rows], [row["text_pair"] for row in rows])
                student = [opinion(each, names) for each in outputs]
            for (pick, row), of_selector, *said in zip(part, selected, teacher, on_original, student, strict=True):
                added = {"pi": _rounded(of_selector.get("pi")), "kept": of_selector.get("kept")}
                yield pick, row | added | dict(zip(("teacher", "teacher_on_original", "student"), said, strict=True))

    return read, f" ({'; '.join(missing)})" if missing else ""


def _rows(chosen: Matches, picks: Picks) -> Iterator[Row]:
    """The rows of picks, a few thousand read at once; a shard that none of them lie in is not opened."""
    behind = 0
    for file, ids in chosen.ids.items():
        first, behind = behind, behind + len(ids)
        own = picks[slice(*np.searchsorted(picks, [first, behind]))]
        batches = scan([file], COLUMNS, "augment", chosen.where) if len(own) else iter(())
        for batch in batches:
            here, own = np.split(own, np.searchsorted(own, [first + batch.num_rows]))
            yield from batch.take(pa.array(here - first)).to_pylist()
            first += batch.num_rows
            if not len(own):
                break


def _asked(known: CachedPredictions, rows: list[Row]) -> tuple[list[Any], list[Any]]:
    """The teacher's opinion on each neighbour and on each original; None where it was not asked."""
    from pipeline.distill.teacher_cache import text_hashes

    # By the texts themselves: an id may have stood for another one when the teacher was asked.
    on, on_original = (
        known.opinions(text_hashes([row[text] for row in rows], [row[pair] for row in rows]))
        for text, pair in (("text", "text_pair"), ("original_text", "original_text_pair"))
    )
    return on, on_original


def _rounded(number: float | None) -> float | None:
    """A float32 by few decimals: 0.9, and not 0.8999999761581421."""
    return None if number is None else round(number, 6)
