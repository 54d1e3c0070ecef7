"""Methods that change one text at a time, by rules; a sample that repeats another is drawn again."""

import re
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher

import numpy as np

from pipeline.augment.methods.interface import AugmentedRows
from pipeline.augment.neighbour import neighbour_rng
from pipeline.augment.originals import Original
from pipeline.augment.sampler import REDRAWS
from pipeline.augment.spans import Span

Change = Callable[[Original, np.random.Generator], tuple[str, ...] | None]
"""From an original to the texts of one sample; None if the original cannot be changed."""


def augment_each(
    originals: Sequence[Original], samples: int, change: Change, seed: int, *, offset: int = 0
) -> tuple[AugmentedRows, dict[str, int]]:
    """Draw `samples` of each original, unlike each other and the original if ten more tries suffice.

    Args:
        offset: samples of each original drawn in earlier rounds; sample numbers continue from there.

    Returns rows and counts as `sample_neighbours` does; log P_s is not defined for these.
    """
    rows: AugmentedRows = []
    counts = {"not_distinct": 0, "too_short": 0}
    for original in originals:
        seen = {original.texts}
        for sample in range(offset + 1, offset + samples + 1):
            changed = None
            for attempt in range(REDRAWS + 1):
                changed = change(original, neighbour_rng(seed, original.id, sample, attempt))
                if changed is None or changed not in seen:
                    break
            if changed is None:
                counts["too_short"] += 1
                break
            counts["not_distinct"] += changed in seen
            seen.add(changed)
            rows.append(original.row(sample, changed))
    return rows, counts


def change_sides(sides: tuple[int, ...], change: Callable[[list[str], np.random.Generator], list[str]]) -> Change:
    """Turn a change of words into one of texts: of those at `sides` that have words, up to `max_length` tokens.

    What is beyond `max_length`, which no model reads, stays as it is; so do words, between blanks, of which
    `augment.keep` or a special token has a character: they are not among the words that `change` gets.
    """

    def change_texts(original: Original, rng: np.random.Generator) -> tuple[str, ...] | None:
        texts = list(original.texts)
        changed = False
        for side in sides if len(texts) > 1 else (0,):
            kept = [span for span in original.kept if span.side == side]
            end = max((word.end for word in original.words if word.side == side), default=0)
            for span in kept:
                end = max(end, span.end) if span.start <= end else end
            parts, rest = _split(texts[side][:end], kept), texts[side][end:]
            words = [part for part, is_kept in parts if not is_kept]
            if words:
                texts[side] = " ".join(_put_back(change(words, rng), parts)) + rest
                changed = True
        return tuple(texts) if changed else None

    return change_texts


def _split(text: str, kept: Sequence[Span]) -> list[tuple[str, bool]]:
    """The words between blanks, and whether each is kept; what one kept stretch touches is one word."""
    words: list[tuple[int, int, bool]] = []
    for match in re.finditer(r"\S+", text):
        start, end = match.span()
        touching = [span for span in kept if span.start < end and start < span.end]
        if touching and words and words[-1][2] and touching[0].start < words[-1][1]:
            words[-1] = (words[-1][0], end, True)
        else:
            words.append((start, end, bool(touching)))
    return [(text[start:end], is_kept) for start, end, is_kept in words]


def _put_back(words: Sequence[str], parts: Sequence[tuple[str, bool]]) -> list[str]:
    """Words that were changed with the kept ones between them, each as near as can be to the words it was beside."""
    before = [part for part, is_kept in parts if not is_kept]
    if len(before) == len(parts):
        return list(words)
    places = _places(before, words)
    out: list[str] = []
    taken = rank = 0
    for part, is_kept in parts:
        if is_kept:
            out += [*words[taken : places[rank]], part]
            taken = places[rank]
        else:
            rank += 1
    return [*out, *words[taken:]]


def _places(before: Sequence[str], after: Sequence[str]) -> list[int]:
    """How many words of `after` stand where the first 0, 1, … words of `before` stood, never falling."""
    if len(before) == len(after):
        return list(range(len(before) + 1))
    places = [0] * (len(before) + 1)
    for _, old_start, old_end, new_start, new_end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        for rank in range(old_start, old_end):
            places[rank + 1] = min(new_start + rank + 1 - old_start, new_end)
    return places
