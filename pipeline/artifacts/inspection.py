"""Neighbours looked at: chosen among all, each with π and what teacher and student say of it."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from pipeline.artifacts.choosing import COLUMNS, Places, Wanted, choose
from pipeline.artifacts.opinions import cached_outputs, load_student, opinion
from pipeline.artifacts.scanning import ROWS, scan
from pipeline.errors import InputError

FEWEST = 64
"""Looked through at once for those that teacher and student disagree on."""
Row = dict[str, Any]
Join = Callable[[Sequence[Path], pa.Array], Iterator[Row]]
"""From shards and ids of theirs to rows, in the order of the ids."""


def inspect(
    places: Places, wanted: Wanted, show: Callable[[Row], None], *, rows: int, seed: int | None, disagree: bool
) -> str:
    """Show neighbours: a row of `augmented` each, with `pi`, `kept`, `teacher`, `teacher_on_original` and `student`.

    What is not known of a row is None. The student reads no other rows than those that are shown or, with `disagree`,
    looked through; few rows are in memory at once.

    Args:
        rows: how many at most.
        seed: picks among those that are wanted; None takes the first.
        disagree: only those that teacher and student put into other classes.

    Returns what was shown, in a few words. Raises InputError if that is nothing.
    """
    by_shard = choose(wanted, places)
    if disagree:
        _check_classes(places)
    files, found = list(by_shard), pa.concat_arrays(by_shard.values())
    shard = np.repeat(np.arange(len(files)), [len(ids) for ids in by_shard.values()])
    order = np.arange(len(found)) if seed is None else np.random.default_rng(seed).permutation(len(found))
    join = _joining(places)
    shown = looked = 0
    size = min(max(rows, FEWEST), ROWS) if disagree else min(rows, ROWS)
    while shown < rows and looked < len(found):
        these = order[looked : looked + size]
        for row in join([files[each] for each in np.unique(shard[these])], found.take(pa.array(these))):
            looked += 1
            if not disagree or _apart(row):
                show(row)
                shown += 1
            if shown == rows:
                break
        size = min(2 * size, ROWS) if disagree else min(rows - shown, ROWS)
    if not shown:
        raise InputError(f"--disagree: teacher and student disagree on none of {looked:,} neighbours")
    if disagree:
        return f"teacher and student disagree on {shown:,} of {looked:,} neighbours looked through"
    there = {"teacher cache": places.cache, "selection": places.selection, "student": places.student}
    absent = [name for name, place in there.items() if place is None]
    missing = f" (not there yet: {', '.join(absent)})" if absent else ""
    return f"{shown:,} of {len(found):,} neighbours in {places.augmented}{missing}"


def _check_classes(places: Places) -> None:
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


def _joining(places: Places) -> Join:
    """Make what reads the rows of ids and adds what selector, teacher and student say of them."""
    names = [] if places.cache is None and places.student is None else places.names()
    ask = None
    if places.student is not None:
        ask = load_student(places.student, names, places.drawn_with()["max_length"])

    def join(files: Sequence[Path], ids: pa.Array) -> Iterator[Row]:
        these = ds.field("id").isin(ids)
        by_id = {row["id"]: row for batch in scan(files, COLUMNS, "augment", these) for row in batch.to_pylist()}
        rows = [by_id[id_] for id_ in ids.to_pylist()]
        judged: dict[str, Row] = {}
        if places.selection is not None:
            batches = scan([places.selection], ["id", "pi", "kept"], "distill", these)
            judged = {row["id"]: row for batch in batches for row in batch.to_pylist()}
        teacher: list[Any] = [None] * len(rows)
        on_original: list[Any] = [None] * len(rows)
        if places.cache is not None:
            teacher, on_original = _teacher(places, rows, names)
        student: list[Any] = [None] * len(rows)
        if ask is not None:
            given = ask([row["text"] for row in rows], [row["text_pair"] for row in rows])
            student = [opinion(outputs, names) for outputs in given]
        for row, *said in zip(rows, teacher, on_original, student, strict=True):
            selected = judged.get(row["id"], {})
            yield row | {
                "pi": _rounded(selected.get("pi")),
                "kept": selected.get("kept"),
                **dict(zip(("teacher", "teacher_on_original", "student"), said, strict=True)),
            }

    return join


def _teacher(places: Places, rows: list[Row], names: list[str]) -> list[list[Any]]:
    """The teacher's opinion on each neighbour and on each original; None where it was not asked."""
    from pipeline.artifacts.teacher_cache import text_hashes

    assert places.cache is not None
    # By the texts themselves: an id may have stood for another one when the teacher was asked.
    texts = [
        text_hashes([row[text] for row in rows], [row[pair] for row in rows])
        for text, pair in (("text", "text_pair"), ("original_text", "original_text_pair"))
    ]
    known = cached_outputs(places.cache, names, (hash_ for hashes in texts for hash_ in hashes))
    return [[opinion(known[hash_], names) if hash_ in known else None for hash_ in hashes] for hashes in texts]


def _rounded(number: float | None) -> float | None:
    """A float32 by few decimals: 0.9, and not 0.8999999761581421."""
    return None if number is None else round(number, 6)
