"""Which stretches of an original became which of its neighbour."""

import re
from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from itertools import islice
from typing import Any, NamedTuple

MOST = 2000
"""Words of a text that are compared where the row does not say which were replaced."""


class Change(NamedTuple):
    """`original[old_start:old_end]` became `neighbour[new_start:new_end]`; one of the two may be empty."""

    old_start: int
    old_end: int
    new_start: int
    new_end: int


def changes(row: Mapping[str, Any]) -> list[list[Change]]:
    """The changes of a row of `augmented`, in order: a list for its text and, in a pair, one for the second text.

    Methods that do not record spans have their texts compared word by word.
    """
    texts = [(row["original_text"], row["text"])]
    if row["text_pair"] is not None:
        texts.append((row["original_text_pair"], row["text_pair"]))
    if not row["old_spans"]:
        return [compare_words(old, new) for old, new in texts]
    spans = list(zip(row["old_spans"], row["new_spans"] or [], strict=False))
    return [
        [Change(old["start"], old["end"], new["start"], new["end"]) for old, new in spans if old["side"] == side]
        for side in range(len(texts))
    ]


def compare_words(old: str, new: str) -> list[Change]:
    """The stretches of whole words and punctuation marks in which two texts differ."""
    old_parts, new_parts = (list(islice(re.finditer(r"\w+|[^\w\s]", text), MOST)) for text in (old, new))
    matcher = SequenceMatcher(None, [part.group() for part in old_parts], [part.group() for part in new_parts])
    return list(_stretches(matcher, old_parts, new_parts))


def _stretches(matcher: SequenceMatcher[str], old: list[re.Match[str]], new: list[re.Match[str]]) -> Iterator[Change]:
    for kind, old_first, old_last, new_first, new_last in matcher.get_opcodes():
        if kind != "equal":
            yield Change(*_characters(old, old_first, old_last), *_characters(new, new_first, new_last))


def _characters(parts: list[re.Match[str]], first: int, last: int) -> tuple[int, int]:
    """The characters of parts[first:last]; if there are none, the empty stretch after the part before."""
    if first < last:
        return parts[first].start(), parts[last - 1].end()
    end = parts[first - 1].end() if first else 0
    return end, end
