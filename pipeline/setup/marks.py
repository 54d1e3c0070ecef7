"""Marks that stand in most texts of a table and must stay in their neighbours: tags, placeholders, field names."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

KINDS = (r"</?\w+>", r"\[[A-Z][A-Z0-9_]*\]", r"\bCOL .+? VAL\b")
"""What marks look like: `<e1>`, `[NAME]`, `COL title VAL`."""


def marks(rows: Iterable[Sequence[str]]) -> tuple[str, str]:
    """A regular expression of the kinds of marks of which one and the same stands in most rows, and those marks.

    Args:
        rows: the texts of each row, one or two.

    Returns two empty texts if there are none.
    """
    counts = [Counter[str]() for _ in KINDS]
    total = 0
    for row in rows:
        total += 1
        for kind, count in zip(KINDS, counts, strict=True):
            count.update({mark for text in row for mark in re.findall(kind, text)})
    common = [sorted(mark for mark, rows in count.items() if rows > total / 2) for count in counts]
    kinds = [kind for kind, found in zip(KINDS, common, strict=True) if found]
    return "|".join(kinds), ", ".join(mark for found in common for mark in found[:2])
