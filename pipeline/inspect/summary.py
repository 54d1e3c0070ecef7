"""Neighbours in numbers: distances beside Eq. 11, replacements, distinct texts, changes of the teacher's prediction."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.augment.distance import log_p_distance
from pipeline.errors import InputError
from pipeline.inspect.predictions import cached_predictions
from pipeline.inspect.query import ArtifactPaths, Filter, find_matches
from pipeline.storage.parquet import scan

COUNTED = ("domain", "text", "text_pair", "original_text", "original_text_pair", "distance", "length")
COLUMNS = ("id", "original_id", *COUNTED, "old_words", "new_words")
MOST_FREQUENT = 15
"""Replacements that are listed."""
Summary = dict[str, Any]
Hashes = npt.NDArray[np.int64]


def summarise(paths: ArtifactPaths, filter_: Filter) -> Summary:
    """Count over all neighbours that match.

    `neighbours` are per domain; `distinct` is the number of distinct texts divided by the number of neighbours;
    `distances` has for each distance how many were `drawn` and, for neighbours of Eq. 11, how many are `expected` for
    originals of these lengths, else None; `replacements` are the most frequent, each with the old word, the new one
    and a count; `teacher` has the number of neighbours that are in its cache together with their originals, and either
    the share of them whose predicted class is not the original's, or by how much the predicted number differs on
    average. None where nothing is known.

    The memory that grows with the neighbours is 16 bytes each and the distinct replacements.
    Raises InputError if no neighbour matches.
    """
    from pipeline.distill.teacher_cache import text_hashes

    matches = find_matches(filter_, paths)
    domains: Counter[str] = Counter()
    lengths: Counter[int] = Counter()
    distances: Counter[int] = Counter()
    replacements: list[pa.Table] = []
    neighbour_hashes: list[Hashes] = []
    original_hashes: list[Hashes] = []
    for batch in scan(list(matches.ids), COLUMNS, "augment", matches.where):
        columns = {name: batch[name].to_pylist() for name in COUNTED}
        domains.update(columns["domain"])
        pairs = [(m, d) for m, d in zip(columns["length"], columns["distance"], strict=True) if d is not None]
        lengths.update(m for m, _ in pairs)
        distances.update(d for _, d in pairs)
        replacements.append(_replacements(batch))
        # Seldom enough to cost little, often enough that what is not yet counted stays as small as what is.
        if sum(len(part) for part in replacements[1:]) > len(replacements[0]):
            replacements = [_add_up(replacements)]
        neighbour_hashes.append(text_hashes(columns["text"], columns["text_pair"]))
        original_hashes.append(text_hashes(columns["original_text"], columns["original_text_pair"]))
    neighbours, originals = np.concatenate(neighbour_hashes), np.concatenate(original_hashes)
    expected = None if filter_.distance is not None else _expected(paths, lengths)
    teacher = None if paths.cache is None else _changed_predictions(paths.cache, paths.names, neighbours, originals)
    return {
        "neighbours": dict(sorted(domains.items())),
        "originals": len(np.unique(originals)),
        "distinct": round(len(np.unique(neighbours)) / len(neighbours), 4),
        "distances": _distances(distances, expected),
        "replacements": _most_frequent(_add_up(replacements)),
        "teacher": teacher,
    }


def _replacements(batch: pa.RecordBatch) -> pa.Table:
    """Old word, new word, once: all of a batch. As Python strings they would take ten times the memory."""
    old, new = batch["old_words"].flatten(), batch["new_words"].flatten()
    return pa.table({"old": old, "new": new, "times": pa.array(np.ones(len(old), dtype=np.int64))})


def _add_up(parts: list[pa.Table]) -> pa.Table:
    counted = pa.concat_tables(parts).group_by(["old", "new"]).aggregate([("times", "sum")])
    return counted.rename_columns({"times_sum": "times"}).select(["old", "new", "times"])


def _most_frequent(counted: pa.Table) -> list[list[Any]]:
    order = [("times", "descending"), ("old", "ascending"), ("new", "ascending")]
    return [list(row.values()) for row in counted.sort_by(order).slice(0, MOST_FREQUENT).to_pylist()]


def _expected(paths: ArtifactPaths, lengths: Counter[int]) -> npt.NDArray[np.float64] | None:
    """How many neighbours of each distance Eq. 11 expects: (longest + 1,); None if they were not drawn by Eq. 11."""
    params = paths.sampling_params
    settings = params["augment"]
    if not lengths or settings.get("method", "neighbours") != "neighbours":
        return None
    if settings["count"] == "vocabulary_free":
        vocabulary = 2
    elif paths.generator is not None:
        vocabulary = _vocabulary(paths.generator)
    else:
        return None
    expected = np.zeros(max(lengths) + 1)
    for length, times in lengths.items():
        log_p = log_p_distance(
            length,
            alpha=params["alpha"],
            vocabulary=vocabulary,
            count=settings["count"],
            min_distance=settings["min_distance"],
        )
        expected[: length + 1] += times * np.exp(log_p)
    return expected


def _vocabulary(generator: Path) -> int:
    """The size of the generator's vocabulary. Raises InputError if it has no tokenizer.json."""
    # Opened without transformers, which takes seconds to import.
    from tokenizers import Tokenizer

    file = generator / "tokenizer.json"
    try:
        return int(Tokenizer.from_file(str(file)).get_vocab_size())
    except Exception as error:
        raise InputError(f"{file}: no tokenizer ({error}); run the generator stage first") from error


def _distances(drawn: Counter[int], expected: npt.NDArray[np.float64] | None) -> list[dict[str, Any]]:
    """Each distance that was drawn, or that is expected at least once."""
    expected_once = [] if expected is None else [d for d, times in enumerate(expected) if times >= 1]
    return [
        {"distance": d, "drawn": drawn[d], "expected": None if expected is None else round(float(expected[d]), 1)}
        for d in sorted({*drawn, *expected_once})
    ]


def _changed_predictions(cache: Path, names: list[str], neighbours: Hashes, originals: Hashes) -> dict[str, Any] | None:
    """How often the teacher predicts another class for the neighbour, or by how much its number changes."""
    teacher = cached_predictions(cache, names)
    rows = np.stack([teacher.rows(hashes) for hashes in (originals, neighbours)])
    before, after = teacher.values[rows[:, (rows >= 0).all(0)]]
    if not len(before):
        return None
    counts: dict[str, Any] = {"neighbours": len(before)}
    if names:
        return counts | {"another_class": round(float(np.mean(before != after)), 4)}
    return counts | {"moved_by": round(float(np.mean(np.abs(before - after))), 4)}
