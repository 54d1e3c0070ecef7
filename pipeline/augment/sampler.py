"""Eq. 10: neighbours z ~ P_s(z|x) of texts, distinct wherever the distribution allows it, as rows of `augmented`."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from transformers import PreTrainedTokenizerFast

from pipeline.augment.filler import Filler
from pipeline.augment.neighbour import Distances, Neighbour, draw_positions
from pipeline.augment.originals import Original, Span
from pipeline.augment.words import piece_text

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
    drafts = [draft for draft in first if draft is not None]
    filler.fill(drafts)
    for attempt in range(1, REDRAWS + 1):
        redrawn = [
            (i, draft)
            for i in _repeated(drafts)
            if (draft := draw_positions(drafts[i].original, drafts[i].sample, attempt, seed, distances)) is not None
        ]
        if not redrawn:
            break
        filler.fill([draft for _, draft in redrawn])
        for i, draft in redrawn:
            drafts[i] = draft
    tried: set[int] = set()
    while reopened := _with_last_word_open(drafts, tried):
        filler.fill(list(reopened.values()))
        tried |= reopened.keys()
        for i, draft in reopened.items():
            drafts[i] = draft
    counts = {
        "not_distinct": sum(1 for _ in _repeated(drafts)),
        "too_short": len({id(original) for (original, _), draft in zip(requests, first, strict=True) if draft is None}),
    }
    return [_row(draft, filler.tokenizer) for draft in drafts], counts


def _with_last_word_open(drafts: Sequence[Neighbour], tried: set[int]) -> dict[int, Neighbour]:
    """One repeated neighbour of each original, by index: its words to be drawn again, the last unlike the others'."""
    chosen = {drafts[i].original.id: i for i in _repeated(drafts) if drafts[i].positions and i not in tried}
    last_words: dict[tuple[str, tuple[int, ...], tuple[int, ...]], set[int]] = {}
    for draft in drafts:
        if draft.original.id in chosen and draft.positions:
            last_words.setdefault(_all_but_last(draft), set()).add(draft.words[-1])
    return {
        i: replace(drafts[i], words=[], log_p_words=0.0, excluded=last_words[_all_but_last(drafts[i])])
        for i in chosen.values()
    }


def _all_but_last(draft: Neighbour) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    return draft.original.id, tuple(draft.positions), tuple(draft.words[:-1])


def _repeated(drafts: Sequence[Neighbour]) -> Iterator[int]:
    """Indices of neighbours that equal an earlier one of the same original."""
    seen = set()
    for i, draft in enumerate(drafts):
        key = (draft.original.id, tuple(draft.positions), tuple(draft.words))
        if key in seen:
            yield i
        seen.add(key)


def _row(neighbour: Neighbour, tokenizer: PreTrainedTokenizerFast) -> dict[str, object]:
    original = neighbour.original
    old = [original.words[position] for position in neighbour.positions]
    new_words = [piece_text(tokenizer, word) for word in neighbour.words]
    texts, new_spans = original.replace_words(neighbour.positions, new_words)
    parts = (neighbour.log_p_distance, neighbour.log_p_positions, neighbour.log_p_words)
    return original.row(neighbour.sample, texts) | {
        "distance": len(neighbour.positions),
        "positions": neighbour.positions,
        "old_words": [original.word_text(word) for word in old],
        "new_words": new_words,
        "old_spans": [Span(word.side, word.start, word.end)._asdict() for word in old],
        "new_spans": [span._asdict() for span in new_spans],
        "log_p_distance": parts[0],
        "log_p_positions": parts[1],
        "log_p_words": parts[2],
        "log_p": math.fsum(parts),
    }
