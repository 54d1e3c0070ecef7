"""Neighbours, filtered or sampled, each with π and the predictions of teacher and student."""

from collections.abc import Callable, Iterator
from heapq import nsmallest
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import InputError
from pipeline.evaluation.prediction import predictions
from pipeline.inspect.predictions import CachedPredictions, cached_predictions, load_student
from pipeline.inspect.query import COLUMNS, ArtifactPaths, Filter, Matches, find_matches
from pipeline.storage.parquet import BATCH_ROWS, scan

FIRST_BATCH = 64
"""Neighbours searched first for one that teacher and student disagree on."""
Row = dict[str, Any]
Indices = npt.NDArray[np.int64]
"""Indices into the matches, sorted."""
Read = Callable[[Indices, int], Iterator[tuple[int, Row]]]
"""From indices, and the size of the first batch (then twice as many, up to BATCH_ROWS), to each index with its row."""


def inspect(
    paths: ArtifactPaths, filter_: Filter, show: Callable[[Row], None], *, rows: int, seed: int | None, disagree: bool
) -> str:
    """Show neighbours: a row of `augmented` each, with `pi`, `kept`, `teacher`, `teacher_on_original` and `student`.

    Unknown values are None. Rows are read once, except with `disagree` and a seed. The student reads few more rows
    than are shown or, with `disagree`, searched. The memory that grows with the neighbours is their ids, π, and
    24 bytes for each text in the teacher's cache.

    Args:
        rows: how many at most.
        seed: samples among the matches; None takes the first.
        disagree: only neighbours for which teacher and student predict different classes.

    Returns what was shown, in a few words. Raises InputError if nothing was.
    """
    matches = find_matches(filter_, paths)
    order = np.arange(len(matches)) if seed is None else np.random.default_rng(seed).permutation(len(matches))
    if disagree:
        _check_classes(paths)
    read, missing = _reader(paths, matches)
    if not disagree:
        indices = np.sort(order[:rows])
        for _, row in read(indices, BATCH_ROWS):
            show(row)
        return f"{len(indices):,} of {len(matches):,} neighbours in {paths.augmented}{missing}"
    shown, searched = 0, len(matches)
    for count, row in _first_differing(read, order) if seed is None else _sampled_differing(read, order, rows):
        show(row)
        shown += 1
        if shown == rows:
            searched = count
            break
    if not shown:
        raise InputError(f"--disagree: teacher and student disagree on none of {searched:,} neighbours")
    return f"teacher and student disagree on {shown:,} of {searched:,} neighbours searched{missing}"


def _first_differing(read: Read, order: Indices) -> Iterator[tuple[int, Row]]:
    """Neighbours that teacher and student disagree on, each with how many were searched so far."""
    return ((index + 1, row) for index, row in read(order, FIRST_BATCH) if _predictions_differ(row))


def _sampled_differing(read: Read, order: Indices, most: int) -> Iterator[tuple[int, Row]]:
    """The same in the given order of all matches; no more than `most` rows are in memory.

    Each pass over the files searches twice as many neighbours as the previous one.
    """
    rank = np.argsort(order)
    searched, size = 0, FIRST_BATCH
    while most and searched < len(order):
        indices = np.sort(order[searched : searched + size])
        searched, size = searched + len(indices), 2 * size
        differing = ((int(rank[index]), row) for index, row in read(indices, FIRST_BATCH) if _predictions_differ(row))
        for row_rank, row in nsmallest(most, differing, key=lambda ranked: ranked[0]):
            most -= 1
            yield row_rank + 1, row


def _check_classes(paths: ArtifactPaths) -> None:
    """Raise InputError if teacher or student is missing, or if they predict numbers."""
    if paths.cache is None:
        raise InputError("--disagree: there is no teacher cache yet; run the cache_teacher stage first")
    if paths.student is None:
        raise InputError("--disagree: there is no student yet; run the distill stage first")
    if not paths.names:
        raise InputError(
            "--disagree: got regression, where teacher and student predict no classes; accepted: classification"
        )


def _predictions_differ(row: Row) -> bool:
    """Whether teacher and student predict different classes."""
    teacher, student = row["teacher"], row["student"]
    return teacher is not None and student is not None and bool(teacher["class"] != student["class"])


def _reader(paths: ArtifactPaths, matches: Matches) -> tuple[Read, str]:
    """The function that reads rows and joins π and predictions to them, and a note on what is missing."""
    names = [] if paths.cache is None and paths.student is None else paths.names
    selection = paths.selection_table
    optional = {"teacher cache": paths.cache, "selection": paths.selection, "student": paths.student}
    absent = [name for name, path in optional.items() if path is None]
    notes = [f"not there yet: {', '.join(absent)}"] if absent else []
    if selection is not None:
        selection_rows = pc.index_in(pa.concat_arrays(matches.ids.values()), value_set=selection["id"])
        selection = selection.select(["pi", "kept"]).take(selection_rows).combine_chunks()
    elif paths.selection is not None:
        notes.append(f"{paths.selection} was made for other neighbours: run the distill stage again")
    teacher = None if paths.cache is None else cached_predictions(paths.cache, names)
    predict = None
    if paths.student is not None:
        predict = load_student(paths.student, names, paths.sampling_params["max_length"])

    def read(indices: Indices, size: int) -> Iterator[tuple[int, Row]]:
        pending = zip(map(int, indices), _rows(matches, indices), strict=True)
        while batch := list(islice(pending, size)):
            size = min(2 * size, BATCH_ROWS)
            rows = [row for _, row in batch]
            selected: list[Row] = [{"pi": None, "kept": None}] * len(rows)
            if selection is not None:
                selected = selection.take([index for index, _ in batch]).to_pylist()
            none: list[Any] = [None] * len(rows)
            by_teacher, on_originals = (none, none) if teacher is None else _teacher_predictions(teacher, rows)
            by_student = none
            if predict is not None:
                outputs = predict([row["text"] for row in rows], [row["text_pair"] for row in rows])
                by_student = predictions(outputs, names)
            columns = zip(batch, selected, by_teacher, on_originals, by_student, strict=True)
            for (index, row), selected_row, on_neighbour, on_original, student in columns:
                yield (
                    index,
                    row
                    | {
                        "pi": _round(selected_row["pi"]),
                        "kept": selected_row["kept"],
                        "teacher": on_neighbour,
                        "teacher_on_original": on_original,
                        "student": student,
                    },
                )

    return read, f" ({'; '.join(notes)})" if notes else ""


def _rows(matches: Matches, indices: Indices) -> Iterator[Row]:
    """The rows at these indices, a few thousand read at once; shards without any of them are not opened."""
    end = 0
    for file, ids in matches.ids.items():
        first, end = end, end + len(ids)
        in_shard = indices[slice(*np.searchsorted(indices, [first, end]))]
        batches = scan([file], COLUMNS, "augment", matches.where) if len(in_shard) else iter(())
        for batch in batches:
            in_batch, in_shard = np.split(in_shard, np.searchsorted(in_shard, [first + batch.num_rows]))
            yield from batch.take(pa.array(in_batch - first)).to_pylist()
            first += batch.num_rows
            if not len(in_shard):
                break


def _teacher_predictions(teacher: CachedPredictions, rows: list[Row]) -> tuple[list[Any], list[Any]]:
    """The teacher's prediction for each neighbour and for each original; None where the cache has none."""
    from pipeline.distill.teacher_cache import text_hashes

    # By the texts themselves: when the cache was made, the same id may have been another text.
    neighbours, originals = (
        teacher.predictions(text_hashes([row[text] for row in rows], [row[pair] for row in rows]))
        for text, pair in (("text", "text_pair"), ("original_text", "original_text_pair"))
    )
    return neighbours, originals


def _round(number: float | None) -> float | None:
    """A float32 rounded to six decimals: 0.9 in place of 0.8999999761581421."""
    return None if number is None else round(number, 6)
