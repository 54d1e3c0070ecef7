"""Splitting a text into sentences."""

import re

from pipeline.data.scripts import word_count

LEAST_WORDS = 4
"""Shorter pieces are no sentences."""
_BREAK = re.compile(
    r"(?<=[.!?])[\"')\]]*\s+|(?<=[。！？｡])(?![。！？｡])[\"')\]」』”’）】]*\s*|\s*(?:<br\s*/?>)+\s*|\n+"
)


def sentences(text: str) -> list[str]:
    """Split a text at sentence ends and line breaks; drop pieces of fewer than `LEAST_WORDS` words."""
    return [piece.strip() for piece in _BREAK.split(text) if word_count(piece) >= LEAST_WORDS]
