"""A neighbour beside its original: what was taken out and what was put in."""

import re
from collections.abc import Sequence
from itertools import groupby

from markupsafe import Markup

from pipeline.inspect.changed_words import Span, changed_spans
from pipeline.report.markup import clipped, element, joined

AROUND = 6
"""Words shown on each side of a change; what is further off is left out."""
LONGEST = 400
"""Characters of one stretch of a text."""


def marked(old: str, new: str, old_words: Sequence[str] = (), new_words: Sequence[str] = ()) -> Markup:
    """The new text, with what it had in place of it as `<del>` and what it has now as `<ins>`; equal runs shortened.

    Args:
        old_words: those that were replaced, in order, if that is known.
    """
    before, after = changed_spans(old, new, old_words, new_words)
    gone = {place: _stretch(old, spans) for place, spans in _by_place(old, before)}
    come = dict(_by_place(new, after))
    parts: list[Markup] = []
    read = count = 0
    places = sorted(gone.keys() | come.keys())
    for place in places:
        spans = come.get(place)
        end = spans[0][0] if spans else _behind(new, read, place - count)
        parts.append(_same(new[read:end], first=place == places[0], last=False))
        read, count = end, place
        if place in gone:
            parts.append(element("del", clipped(gone[place], LONGEST)))
        if spans:
            parts.append(element("ins", clipped(_stretch(new, spans), LONGEST)))
            read = spans[-1][1]
    parts.append(_same(new[read:], first=not places, last=True))
    return Markup(" ").join(part for part in parts if part)


def _by_place(text: str, spans: Sequence[Span]) -> list[tuple[int, list[Span]]]:
    """Spans by how many characters, but for blanks, stand before them outside of any: the same in both texts."""
    placed, behind, count = [], 0, 0
    for span in spans:
        count += _solid(text[behind : span[0]])
        placed.append((count, span))
        behind = span[1]
    return [(place, [span for _, span in group]) for place, group in groupby(placed, key=lambda each: each[0])]


def _solid(text: str) -> int:
    return len("".join(text.split()))


def _behind(text: str, start: int, count: int) -> int:
    """Where so many characters, but for blanks, have been read."""
    solid = (found.end() for found in re.finditer(r"\S", text[start:]))
    return start + next((end for order, end in enumerate(solid, start=1) if order == count), 0)


def _stretch(text: str, spans: Sequence[Span]) -> str:
    return text[spans[0][0] : spans[-1][1]]


def _same(text: str, *, first: bool, last: bool) -> Markup:
    """Equal words: those beside a change, and an ellipsis for the others."""
    words = text.split()
    before, after = (0 if first else AROUND), (0 if last else AROUND)
    if first and last:
        before = 10 * AROUND
    if len(words) > before + after + 2:
        words = [*words[:before], "…", *words[len(words) - after :]]
    return joined(clipped(" ".join(words), LONGEST))
