"""Eq. 10: neighbours z ~ P_s(z|x) of texts, distinct wherever the distribution allows it, as rows of `augmented`."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from transformers import PreTrainedTokenizerFast

from pipeline.augment.filler import Filler
from pipeline.augment.neighbour import Distances, Neighbour, draw
from pipeline.augment.originals import Original
from pipeline.augment.words import piece_text

REDRAWS = 10
"""How often a neighbour that stands already among its original's is drawn anew."""


def sample_neighbours(
    originals: Sequence[Original], samples: int, filler: Filler, distances: Distances, seed: int, *, behind: int = 0
) -> tuple[list[dict[str, object]], dict[str, int]]:
    """Draw `samples` neighbours of each original, distinct wherever the distribution allows it.

    What repeats another is drawn anew, up to ten times; then its last word is drawn from those that are not taken.

    Args:
        distances: Eq. 11, or what another way to augment has in its place.
        behind: samples drawn in earlier rounds; numbers go on from there, and with them what is drawn.

    Returns the rows of `augmented`, in the order of originals and samples, and counts: `not_distinct`, neighbours
    that repeat another of the same original, and `too_short`, originals without words enough to change.
    """
    wanted = [(original, sample) for original in originals for sample in range(behind + 1, behind + samples + 1)]
    first = [draw(original, sample, 0, seed, distances) for original, sample in wanted]
    drafts = [draft for draft in first if draft is not None]
    filler.fill(drafts)
    for attempt in range(1, REDRAWS + 1):
        again = [
            (i, redrawn)
            for i in _repeated(drafts)
            if (redrawn := draw(drafts[i].original, drafts[i].sample, attempt, seed, distances)) is not None
        ]
        if not again:
            break
        filler.fill([redrawn for _, redrawn in again])
        for i, redrawn in again:
            drafts[i] = redrawn
    tried: set[int] = set()
    while freed := _with_last_word_free(drafts, tried):
        filler.fill(list(freed.values()))
        tried |= freed.keys()
        for i, draft in freed.items():
            drafts[i] = draft
    counts = {
        "not_distinct": sum(1 for _ in _repeated(drafts)),
        "too_short": len({id(o) for (o, _), draft in zip(wanted, first, strict=True) if draft is None}),
    }
    return [_row(draft, filler.tokenizer) for draft in drafts], counts


def _with_last_word_free(drafts: Sequence[Neighbour], tried: set[int]) -> dict[int, Neighbour]:
    """One repeated neighbour of each original, by its place: its words to be drawn again, the last as no other's."""
    chosen = {drafts[i].original.id: i for i in _repeated(drafts) if drafts[i].positions and i not in tried}
    alike: dict[tuple[str, tuple[int, ...], tuple[int, ...]], set[int]] = {}
    for draft in drafts:
        if draft.original.id in chosen and draft.positions:
            alike.setdefault(_all_but_last(draft), set()).add(draft.words[-1])
    return {
        i: replace(drafts[i], words=[], log_p_words=0.0, taken=alike[_all_but_last(drafts[i])]) for i in chosen.values()
    }


def _all_but_last(draft: Neighbour) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    return draft.original.id, tuple(draft.positions), tuple(draft.words[:-1])


def _repeated(drafts: Sequence[Neighbour]) -> Iterator[int]:
    """Neighbours that equal an earlier one of the same original."""
    seen = set()
    for i, draft in enumerate(drafts):
        key = (draft.original.id, tuple(draft.positions), tuple(draft.words))
        if key in seen:
            yield i
        seen.add(key)


def _row(neighbour: Neighbour, tokenizer: PreTrainedTokenizerFast) -> dict[str, object]:
    original = neighbour.original
    new = [piece_text(tokenizer, word) for word in neighbour.words]
    parts = (neighbour.log_p_distance, neighbour.log_p_positions, neighbour.log_p_words)
    return original.row(neighbour.sample, original.replaced(neighbour.positions, new)) | {
        "distance": len(neighbour.positions),
        "positions": neighbour.positions,
        "old_words": [original.written(original.words[position]) for position in neighbour.positions],
        "new_words": new,
        "log_p_distance": parts[0],
        "log_p_positions": parts[1],
        "log_p_words": parts[2],
        "log_p": math.fsum(parts),
    }
