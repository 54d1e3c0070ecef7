"""Where the words of a text are, and which stretches of it never change."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from tokenizers import Encoding


class Span(NamedTuple):
    """Characters of a text (side 0) or of the second text of a pair (side 1), `end` not included."""

    side: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Word:
    """A whole word that may change.

    Args:
        side: 0 in the text, 1 in the second text of a pair.
        start, end: its characters, `end` not included.
        first_token, last_token: its tokens in the encoding of the text or pair, both included.
    """

    side: int
    start: int
    end: int
    first_token: int
    last_token: int


def find_words(encoding: Encoding, texts: Sequence[str]) -> list[Word]:
    """The words of an encoded text or pair."""
    words: list[Word] = []
    previous = None
    # The tokenizer builds each of these lists at every access.
    tokens = zip(encoding.sequence_ids, encoding.word_ids, encoding.offsets, strict=True)
    for token, (side, word_id, (start, end)) in enumerate(tokens):
        if side is None or word_id is None:
            continue
        if (side, word_id) == previous:
            words[-1] = Word(side, words[-1].start, end, words[-1].first_token, token)
        else:
            words.append(Word(side, start, end, token, token))
        previous = (side, word_id)
    return _trim(words, texts)


def _trim(words: list[Word], texts: Sequence[str]) -> list[Word]:
    """Correct the bounds of words.

    Some vocabularies count leading blanks as part of a word: they are cut off, and a word of blanks alone is dropped.
    Others leave out an accent after the last letter: it is added.
    """
    out: list[Word] = []
    for word in reversed(words):
        text, start, end = texts[word.side], word.start, word.end
        limit = out[-1].start if out and out[-1].side == word.side else len(text)
        while start < end and text[start].isspace():
            start += 1
        while start < end < limit and unicodedata.category(text[end]) == "Mn":
            end += 1
        if start < end:
            out.append(replace(word, start=start, end=end))
    return out[::-1]


def keep_marks(
    words: Sequence[Word], encoding: Encoding, texts: Sequence[str], special: set[str], keep: re.Pattern[str] | None
) -> tuple[list[Word], tuple[Span, ...]]:
    """The words that are no marks, and the stretches that never change, in order: special tokens and matches of `keep`.

    Args:
        special: what the tokenizer's special tokens look like. The token of unknown words is one only where it is
            written out.
    """
    tokens = encoding.tokens
    kept = [
        Span(side, match.start(), match.end())
        for side, text in enumerate(texts)
        for match in (keep.finditer(text) if keep else ())
        if match.group()
    ]
    # An unknown word has a special token, too, but is not written as it.
    kept += [
        Span(word.side, word.start, word.end)
        for word in words
        if tokens[word.first_token] in special
        and texts[word.side][word.start : word.end].strip() == tokens[word.first_token]
    ]
    if not kept:
        return list(words), ()
    kept.sort()
    return list(_outside(words, kept)), tuple(kept)


def _outside(words: Sequence[Word], kept: Sequence[Span]) -> Iterator[Word]:
    """Words that have no character in common with rising stretches."""
    current = 0
    for word in words:
        while current < len(kept) and (kept[current].side, kept[current].end) <= (word.side, word.start):
            current += 1
        if current == len(kept) or kept[current].side > word.side or kept[current].start >= word.end:
            yield word
