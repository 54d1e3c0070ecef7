"""What was drawn, in numbers: distances beside Eq. 11, replacements, distinct texts, the teacher's changes of mind."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.augment.distance import log_p_distance
from pipeline.augment.shards import scan
from pipeline.errors import InputError
from pipeline.inspect.predictions import cached_predictions
from pipeline.inspect.query import ArtifactPaths, Filter, choose

COLUMNS = (
    "id", "original_id", "domain", "text", "text_pair", "original_text", "original_text_pair", "distance", "length",
    "old_words", "new_words",
)  # fmt: skip
COMMONEST = 15
"""Replacements that are told."""
Summary = dict[str, Any]
Hashes = npt.NDArray[np.int64]


def summarise(places: ArtifactPaths, wanted: Filter) -> Summary:
    """Count over all neighbours that are wanted.

    `neighbours` are per domain; `distinct` is the share of texts that are unlike all others; `distances` has for each
    distance how many were `drawn` and, in a neighbourhood of Eq. 11, how many are `expected` for originals of these
    lengths, else None; `replacements` are the commonest, each with the old word, the new one and how often;
    `teacher` tells of how many neighbours (those that it was asked about, and about their originals too) and either for
    what share of them its class is another than the original's, or how far its number moved on average. None where
    nothing is known.

    What grows with the neighbours is 16 bytes each and the words that took one another's place.
    Raises InputError if there are none.
    """
    from pipeline.distill.teacher_cache import text_hashes

    chosen = choose(wanted, places)
    domains: Counter[str] = Counter()
    lengths: Counter[int] = Counter()
    distances: Counter[int] = Counter()
    replaced: list[pa.Table] = []
    own: list[Hashes] = []
    originals: list[Hashes] = []
    for batch in scan(list(chosen.ids), COLUMNS, "augment", chosen.where):
        columns = {name: batch[name].to_pylist() for name in COLUMNS[2:9]}
        domains.update(columns["domain"])
        far = [(m, d) for m, d in zip(columns["length"], columns["distance"], strict=True) if d is not None]
        lengths.update(m for m, _ in far)
        distances.update(d for _, d in far)
        replaced.append(_replacements(batch))
        # Seldom enough to cost little, often enough for what waits to stay as small as what is counted.
        if sum(len(part) for part in replaced[1:]) > len(replaced[0]):
            replaced = [_counted(replaced)]
        own.append(np.array(text_hashes(columns["text"], columns["text_pair"])))
        originals.append(np.array(text_hashes(columns["original_text"], columns["original_text_pair"])))
    drawn, of = np.concatenate(own), np.concatenate(originals)
    expected = None if wanted.distance is not None else _expected(places, lengths)
    return {
        "neighbours": dict(sorted(domains.items())),
        "originals": len(np.unique(of)),
        "distinct": round(len(np.unique(drawn)) / len(drawn), 4),
        "distances": _beside(distances, expected),
        "replacements": _commonest(_counted(replaced)),
        "teacher": None if places.cache is None else _changed_mind(places.cache, places.names(), drawn, of),
    }


def _replacements(batch: pa.RecordBatch) -> pa.Table:
    """Old word, new word, once: all of a batch. As Python's strings so many would take ten times the memory."""
    old, new = batch["old_words"].flatten(), batch["new_words"].flatten()
    return pa.table({"old": old, "new": new, "times": pa.array(np.ones(len(old), dtype=np.int64))})


def _counted(parts: list[pa.Table]) -> pa.Table:
    counted = pa.concat_tables(parts).group_by(["old", "new"]).aggregate([("times", "sum")])
    return counted.rename_columns({"times_sum": "times"}).select(["old", "new", "times"])


def _commonest(counted: pa.Table) -> list[list[Any]]:
    order = [("times", "descending"), ("old", "ascending"), ("new", "ascending")]
    return [list(row.values()) for row in counted.sort_by(order).slice(0, COMMONEST).to_pylist()]


def _expected(places: ArtifactPaths, lengths: Counter[int]) -> npt.NDArray[np.float64] | None:
    """How many neighbours of each distance Eq. 11 expects: (longest + 1,); None if it did not draw them."""
    params = places.drawn_with()
    settings = params["augment"]
    if not lengths or settings.get("method", "neighbours") != "neighbours":
        return None
    if settings["count"] == "vocabulary_free":
        vocabulary = 2
    elif places.generator is not None:
        vocabulary = _vocabulary(places.generator)
    else:
        return None
    expected = np.zeros(max(lengths) + 1)
    for length, times in lengths.items():
        log_p = log_p_distance(
            length,
            alpha=params["alpha"],
            vocabulary=vocabulary,
            count=settings["count"],
            least=settings["min_distance"],
        )
        expected[: length + 1] += times * np.exp(log_p)
    return expected


def _vocabulary(generator: Path) -> int:
    """The pieces that the generator's tokenizer has. Raises InputError if it has no tokenizer.json."""
    # Opened without transformers, which takes seconds to import.
    from tokenizers import Tokenizer

    file = generator / "tokenizer.json"
    try:
        return int(Tokenizer.from_file(str(file)).get_vocab_size())
    except Exception as error:
        raise InputError(f"{file}: no tokenizer ({error}); run the generator stage first") from None


def _beside(drawn: Counter[int], expected: npt.NDArray[np.float64] | None) -> list[dict[str, Any]]:
    """Each distance that was drawn, or that is to be expected once at least."""
    likely = [] if expected is None else [d for d, times in enumerate(expected) if times >= 1]
    return [
        {"distance": d, "drawn": drawn[d], "expected": None if expected is None else round(float(expected[d]), 1)}
        for d in sorted({*drawn, *likely})
    ]


def _changed_mind(cache: Path, names: list[str], drawn: Hashes, of: Hashes) -> dict[str, Any] | None:
    """How often the teacher's class is another on the neighbour, or by how much its number moves."""
    known = cached_predictions(cache, names)
    rows = np.stack([known.find(hashes) for hashes in (of, drawn)])
    before, after = known.answers[rows[:, (rows >= 0).all(0)]]
    if not len(before):
        return None
    found: dict[str, Any] = {"neighbours": len(before)}
    if names:
        return found | {"another_class": round(float(np.mean(before != after)), 4)}
    return found | {"moved_by": round(float(np.mean(np.abs(before - after))), 4)}
