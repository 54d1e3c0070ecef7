"""Ways to augment that change one text at a time, by rules: each sample drawn anew as long as it repeats another."""

from collections.abc import Callable, Sequence

import numpy as np

from pipeline.augment.neighbour import chances
from pipeline.augment.originals import Original
from pipeline.augment.sampler import REDRAWS

Rows = list[dict[str, object]]


Change = Callable[[Original, np.random.Generator], tuple[str, ...] | None]
"""The texts of one sample of an original; None if it cannot be changed."""


def augment_each(
    originals: Sequence[Original], samples: int, change: Change, seed: int, *, behind: int = 0
) -> tuple[Rows, dict[str, int]]:
    """Draw `samples` of each original, none like another or like the original if ten tries suffice.

    Args:
        behind: samples drawn in earlier rounds; numbers go on from there.

    Returns rows and counts as `sample_neighbours` does; there is no log P_s of these.
    """
    rows: Rows = []
    counts = {"not_distinct": 0, "too_short": 0}
    for original in originals:
        seen = {original.texts}
        for sample in range(behind + 1, behind + samples + 1):
            changed = None
            for attempt in range(REDRAWS + 1):
                changed = change(original, chances(seed, original.id, sample, attempt))
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
    """Make a change of words one of texts: of those at `sides` that have words, up to where the models read.

    What lies beyond `max_length` stays as it is.
    """

    def one(original: Original, chance: np.random.Generator) -> tuple[str, ...] | None:
        out = list(original.texts)
        changed = False
        for side in sides[: len(out)]:
            read = max((word.end for word in original.words if word.side == side), default=0)
            words, rest = out[side][:read].split(), out[side][read:]
            if words:
                out[side] = " ".join(change(words, chance)) + rest
                changed = True
        return tuple(out) if changed else None

    return one
