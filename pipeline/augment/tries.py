"""Ways to augment that change one text at a time, by rules: each sample drawn anew as long as it repeats another."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.augment.neighbour import chances
from pipeline.augment.originals import Original
from pipeline.augment.sampler import REDRAWS

Rows = list[dict[str, object]]


@dataclass(frozen=True, slots=True)
class Changed:
    """A sample: its texts, and the words that were changed where each stands for one of the original's."""

    texts: tuple[str, ...]
    positions: list[int]
    words: list[str]
    word_for_word: bool = True


Change = Callable[[Original, np.random.Generator], Changed | None]
"""One sample of an original; None if it cannot be changed."""


def try_each(
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
                if changed is None or changed.texts not in seen:
                    break
            if changed is None:
                counts["too_short"] += 1
                break
            counts["not_distinct"] += changed.texts in seen
            seen.add(changed.texts)
            rows.append(_row(original, sample, changed))
    return rows, counts


def _row(original: Original, sample: int, changed: Changed) -> dict[str, object]:
    old = [original.written(original.words[position]) for position in changed.positions]
    return {
        "id": f"{original.id}-{sample:03d}",
        "original_id": original.id,
        "text": changed.texts[0],
        "text_pair": changed.texts[1] if len(changed.texts) > 1 else None,
        "original_text": original.texts[0],
        "original_text_pair": original.texts[1] if len(original.texts) > 1 else None,
        "label": original.label,
        "distance": len(changed.positions) if changed.word_for_word else None,
        "length": len(original.words),
        "positions": changed.positions,
        "old_words": old,
        "new_words": changed.words,
        "log_p_distance": None,
        "log_p_positions": None,
        "log_p_words": None,
        "log_p": None,
    }
