"""Where in two texts the words stand that differ."""

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import islice

MOST = 2000
"""Words that are compared of a text where it is not known which were replaced."""
Span = tuple[int, int]
"""First character, and the one behind the last."""


def changed_spans(
    old: str, new: str, old_words: Sequence[str], new_words: Sequence[str]
) -> tuple[list[Span], list[Span]]:
    """Find the words that were replaced, in the original and in the neighbour.

    Positions count words of a tokenizer that is not at hand; the words themselves tell as much, for all between them
    is the same in both texts. Without words, or if they do not lead from one text to the other, the texts are compared
    word by word.
    """
    return (_replaced(old, new, old_words, new_words) if old_words else None) or _compared(old, new)


def _replaced(
    old: str, new: str, old_words: Sequence[str], new_words: Sequence[str]
) -> tuple[list[Span], list[Span]] | None:
    """The spans that lead from one text to the other by replacing these words in this order; None if there are none.

    All ways are gone at once: how far both texts are read, and the spans on the way there.
    """
    ways: dict[tuple[int, int], tuple[tuple[Span, Span], ...]] = {(0, 0): ()}
    for was, now in zip(old_words, new_words, strict=False):
        further: dict[tuple[int, int], tuple[tuple[Span, Span], ...]] = {}
        for (read, written), way in ways.items():
            for start, behind in _same(old, new, was, read, written):
                for begin in _set_apart(new, behind):
                    if new.startswith(now, begin):
                        ends = (start + len(was), begin + len(now))
                        further.setdefault(ends, (*way, ((start, ends[0]), (begin, ends[1]))))
        ways = further
    for (read, written), way in ways.items():
        if any(new[begin:] == old[read:] for begin in _set_apart(new, written)):
            return [span for span, _ in way], [span for _, span in way]
    return None


def _same(old: str, new: str, word: str, read: int, written: int) -> Iterator[Span]:
    """Where the word stands in the old text and where that is in the new one, while all before it is the same."""
    for begin in _set_apart(new, written):
        start = old.find(word, read)
        while start >= 0 and new.startswith(old[read:start], begin):
            yield start, begin + start - read
            start = old.find(word, start + 1)


def _set_apart(text: str, place: int) -> Iterator[int]:
    """The place, and the one behind a blank: a new word that would run into its neighbours is set apart."""
    yield place
    if text.startswith(" ", place):
        yield place + 1


def _compared(old: str, new: str) -> tuple[list[Span], list[Span]]:
    parts = [list(islice(re.finditer(r"\w+|[^\w\s]|\n", text), MOST)) for text in (old, new)]
    ours, theirs = ([part.group() for part in of] for of in parts)
    matcher = SequenceMatcher(None, ours, theirs)
    spans: tuple[list[Span], list[Span]] = ([], [])
    for what, *ends in matcher.get_opcodes():
        if what != "equal":
            for side, (first, last) in enumerate((ends[:2], ends[2:])):
                spans[side].extend(part.span() for part in parts[side][first:last] if part.group() != "\n")
    return spans
