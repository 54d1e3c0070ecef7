"""Splitting a text into sentences."""

import re

from pipeline.data.scripts import word_count

_BREAK = re.compile(
    r"(?<=[.!?])[\"')\]]*\s+|(?<=[。！？｡])(?![。！？｡])[\"')\]」』”’）】]*\s*|\s*(?:<br\s*/?>)+\s*|\n+"
)


def sentences(text: str, *, least_words: int = 4) -> list[str]:
    """Split a text at sentence ends and line breaks; drop pieces of fewer than `least_words` words."""
    return [piece.strip() for piece in _BREAK.split(text) if word_count(piece) >= least_words]
