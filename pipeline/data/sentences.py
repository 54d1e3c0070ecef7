"""Splitting a text into sentences."""

import re

_BREAK = re.compile(r"(?<=[.!?])[\"')\]]*\s+|\s*(?:<br\s*/?>)+\s*|\n+")


def sentences(text: str, *, least_words: int = 4) -> list[str]:
    """Split a text at sentence ends and line breaks; drop pieces of fewer than `least_words` words."""
    return [piece.strip() for piece in _BREAK.split(text) if len(piece.split()) >= least_words]
