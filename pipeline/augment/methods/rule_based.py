"""Methods that change one text at a time, by rules; a sample that repeats another is drawn again."""

from collections.abc import Callable, Sequence

import numpy as np

from pipeline.augment.methods.interface import AugmentedRows
from pipeline.augment.neighbour import neighbour_rng
from pipeline.augment.originals import Original
from pipeline.augment.sampler import REDRAWS

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

    What is beyond `max_length`, which no model reads, stays as it is.
    """

    def change_texts(original: Original, rng: np.random.Generator) -> tuple[str, ...] | None:
        texts = list(original.texts)
        changed = False
        for side in sides[: len(texts)]:
            end = max((word.end for word in original.words if word.side == side), default=0)
            words, rest = texts[side][:end].split(), texts[side][end:]
            if words:
                texts[side] = " ".join(change(words, rng)) + rest
                changed = True
        return tuple(texts) if changed else None

    return change_texts
