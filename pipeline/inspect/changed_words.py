"""Where in two texts the words stand that differ."""

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import islice

MOST = 2000
"""Words that are compared of a text where it is not known which were replaced."""
LOOKS = 50_000
"""Places where a replaced word could stand that are looked at; few for each word, but in a text that repeats one."""
Span = tuple[int, int]
"""First character, and the one behind the last."""
Step = tuple[Span, Span]
"""A word, and the one in its place."""


def changed_spans(
    old: str, new: str, old_words: Sequence[str], new_words: Sequence[str]
) -> tuple[list[Span], list[Span]]:
    """Find the words that were replaced, in the original and in the neighbour.

    Positions count words of a tokenizer that is not at hand; the words themselves tell as much, for all between them
    is the same in both texts. Without words, or if no way that they lead from one text to the other is found soon, the
    texts are compared word by word.
    """
    return (_replaced(old, new, old_words, new_words) if old_words else None) or _compared(old, new)


def _replaced(
    old: str, new: str, old_words: Sequence[str], new_words: Sequence[str]
) -> tuple[list[Span], list[Span]] | None:
    """The spans that lead from one text to the other by replacing these words in this order; None if none are found.

    Of many ways it is the one whose words come first. Where one leads nowhere is remembered, for others come by there.
    """
    words = list(zip(old_words, new_words, strict=False))
    looks = iter(range(LOOKS))
    way: list[Step] = []
    # What may follow on each step of the way; it begins with a step before both texts.
    ahead: list[Iterator[Step]] = [iter([((0, 0), (0, 0))])]
    been: set[tuple[int, int, int]] = set()
    while ahead:
        step = next(ahead[-1], None)
        if step is None:
            ahead.pop()
            del way[-1:]
            continue
        (_, read), (_, written) = step
        if (len(way), read, written) in been:
            continue
        been.add((len(way), read, written))
        if len(way) < len(words):
            ahead.append(_steps(old, new, *words[len(way)], read, written, looks))
            way.append(step)
        elif any(_same_end(old, new, read, begin) for begin in _set_apart(new, written)):
            done = [*way, step][1:]
            return [span for span, _ in done], [span for _, span in done]
    return None


def _steps(old: str, new: str, was: str, now: str, read: int, written: int, looks: Iterator[int]) -> Iterator[Step]:
    """Where the word and the one in its place may stand next, while all before them is the same."""
    for begin in _set_apart(new, written):
        same, start = read, old.find(was, read)
        while start >= 0 and new.startswith(old[same:start], begin + same - read) and next(looks, None) is not None:
            for place in _set_apart(new, begin + start - read):
                if new.startswith(now, place):
                    yield (start, start + len(was)), (place, place + len(now))
            same, start = start, old.find(was, start + 1)


def _same_end(old: str, new: str, read: int, begin: int) -> bool:
    return len(old) - read == len(new) - begin and new.startswith(old[read:], begin)


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
