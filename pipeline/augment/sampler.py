"""Eq. 10: neighbours z ~ P_s(z|x) of texts, distinct wherever the distribution allows it, as rows of `augmented`."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from pipeline.augment.case import with_capitals
from pipeline.augment.filler import Filler
from pipeline.augment.neighbour import Distances, Neighbour, draw_positions
from pipeline.augment.originals import Original
from pipeline.augment.spans import Span
from pipeline.augment.words import token_text

REDRAWS = 10
"""How often a neighbour that repeats another of its original is drawn again."""


def sample_neighbours(
    originals: Sequence[Original], samples: int, filler: Filler, distances: Distances, seed: int, *, offset: int = 0
) -> tuple[list[dict[str, object]], dict[str, int]]:
    """Draw `samples` neighbours of each original, distinct wherever the distribution allows it.

    A neighbour that repeats another is drawn again, up to ten times; then its last word is drawn from those that the
    others do not have.

    Args:
        distances: Eq. 11, or the distribution that another method has in its place.
        offset: samples of each original drawn in earlier rounds; sample numbers, and with them the draws, continue
            from there.

    Returns the rows of `augmented`, in the order of originals and samples, and counts: `not_distinct`, neighbours
    that repeat another of the same original, and `too_short`, originals without enough words to change.
    """
    requests = [(original, sample) for original in originals for sample in range(offset + 1, offset + samples + 1)]
    first = [draw_positions(original, sample, 0, seed, distances) for original, sample in requests]
    neighbours = [neighbour for neighbour in first if neighbour is not None]
    filler.fill(neighbours)
    for attempt in range(1, REDRAWS + 1):
        redrawn = {
            i: neighbour
            for i in _repeated(neighbours)
            if (neighbour := draw_positions(neighbours[i].original, neighbours[i].sample, attempt, seed, distances))
        }
        if not redrawn:
            break
        filler.fill(list(redrawn.values()))
        for i, neighbour in redrawn.items():
            neighbours[i] = neighbour
    refilled: set[int] = set()
    while to_refill := _clear_repeated(neighbours, refilled):
        filler.fill(list(to_refill.values()))
        refilled |= to_refill.keys()
        for i, neighbour in to_refill.items():
            neighbours[i] = neighbour
    too_short = {id(original) for (original, _), drawn in zip(requests, first, strict=True) if drawn is None}
    counts = {
        "not_distinct": sum(1 for _ in _repeated(neighbours)),
        "too_short": len(too_short),
    }
    return [_row(neighbour, filler) for neighbour in neighbours], counts


def _clear_repeated(neighbours: Sequence[Neighbour], refilled: set[int]) -> dict[int, Neighbour]:
    """One repeated neighbour of each original, by index, without its words.

    The words are to be drawn again at the same quantiles; the last may be none that a neighbour with the same other
    words has.

    Args:
        refilled: indices to leave out.
    """
    chosen = {
        neighbours[i].original.id: i for i in _repeated(neighbours) if neighbours[i].positions and i not in refilled
    }
    last_token_ids: dict[tuple[str, tuple[int, ...], tuple[int, ...]], set[int]] = {}
    for neighbour in neighbours:
        if neighbour.original.id in chosen and neighbour.positions:
            last_token_ids.setdefault(_all_but_last(neighbour), set()).add(neighbour.new_token_ids[-1])
    return {
        i: replace(
            neighbours[i], new_token_ids=[], log_p_words=0.0, excluded=last_token_ids[_all_but_last(neighbours[i])]
        )
        for i in chosen.values()
    }


def _all_but_last(neighbour: Neighbour) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    return neighbour.original.id, tuple(neighbour.positions), tuple(neighbour.new_token_ids[:-1])


def _repeated(neighbours: Sequence[Neighbour]) -> Iterator[int]:
    """Indices of neighbours that equal an earlier one of the same original."""
    seen = set()
    for i, neighbour in enumerate(neighbours):
        key = (neighbour.original.id, tuple(neighbour.positions), tuple(neighbour.new_token_ids))
        if key in seen:
            yield i
        seen.add(key)


def _row(neighbour: Neighbour, filler: Filler) -> dict[str, object]:
    original = neighbour.original
    changed = neighbour.changed_words()
    positions = [position for position, _ in changed]
    old = [original.words[position] for position in positions]
    drawn = [token_text(filler.tokenizer, token_id) for token_id in neighbour.new_token_ids]
    new_words = [drawn[index] for _, index in changed]
    if filler.uncased:
        new_words = [
            with_capitals(new, original.word_text(word), original.texts[word.side][: word.start])
            for new, word in zip(new_words, old, strict=True)
        ]
    texts, new_spans = original.replace_words(positions, new_words)
    parts = (neighbour.log_p_distance, neighbour.log_p_positions, neighbour.log_p_words)
    return original.row(neighbour.sample, texts) | {
        "distance": len(neighbour.positions),
        "positions": positions,
        "old_words": [original.word_text(word) for word in old],
        "new_words": new_words,
        "old_spans": [Span(word.side, word.start, word.end)._asdict() for word in old],
        "new_spans": [span._asdict() for span in new_spans],
        "log_p_distance": parts[0],
        "log_p_positions": parts[1],
        "log_p_words": parts[2],
        "log_p": math.fsum(parts),
    }
