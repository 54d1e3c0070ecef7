"""Where the words of a text are, and which stretches of it never change."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from tokenizers import Encoding
from transformers import PreTrainedTokenizerFast

from pipeline.augment.words import SIGNS, pieces_by_script
from pipeline.data.scripts import script, script_of


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
        script: the key in `pieces_by_script` of what may take its place; empty for whole words.
    """

    side: int
    start: int
    end: int
    first_token: int
    last_token: int
    script: str = ""


def find_words(encoding: Encoding, texts: Sequence[str]) -> list[Word]:
    """The words of an encoded text or pair.

    They are those of the tokenizer, cut further at its tokens where it leaves more than a word in one: each piece is a
    word of its own in scripts without blanks, and so is punctuation beside letters.
    """
    words: list[Word] = []
    previous = None
    # The tokenizer builds each of these lists at every access.
    tokens = zip(encoding.sequence_ids, encoding.word_ids, encoding.offsets, strict=True)
    for token, (side, word_id, (start, end)) in enumerate(tokens):
        if side is None or word_id is None:
            continue
        if (side, word_id) == previous and not _begins_word(texts[side], words[-1].start, words[-1].end, start, end):
            words[-1] = Word(side, words[-1].start, end, words[-1].first_token, token)
        else:
            words.append(Word(side, start, end, token, token))
        previous = (side, word_id)
    return _trim(words, texts)


def _begins_word(text: str, word_start: int, word_end: int, start: int, end: int) -> bool:
    """Whether the token text[start:end] begins a word after text[word_start:word_end], with which it is one so far."""
    if start < word_end or start == end or word_start == word_end:
        return False  # A part of a character that the token before has a part of, or of nothing.
    before, first = text[word_end - 1], text[start]
    if first.isspace() or (not before.isspace() and any(map(str.isspace, text[word_end:start]))):
        return True
    # A blank of its own before the word, and an accent of the last letter.
    if before.isspace() or unicodedata.category(first)[0] == "M":
        return False
    if script(before) or script(first):
        return True
    if before.isalnum() and first.isalnum():
        return False
    return is_punctuation(text, word_end - 1) != is_punctuation(text, start) or (
        _all_punctuation(text, word_start, word_end) != _all_punctuation(text, start, end)
    )


def is_punctuation(text: str, index: int) -> bool:
    """Whether a character is punctuation as BERT splits it; an apostrophe between letters is not."""
    character = text[index]
    if character in "'’" and 0 < index < len(text) - 1 and text[index - 1].isalpha() and text[index + 1].isalpha():
        return False
    if character.isascii():
        return not character.isalnum() and character.isprintable() and character != " "
    return unicodedata.category(character)[0] == "P"


def _all_punctuation(text: str, start: int, end: int) -> bool:
    return all(text[index].isspace() or is_punctuation(text, index) for index in range(start, end))


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


def with_script(word: Word, text: str, tokenizer: PreTrainedTokenizerFast) -> Word:
    """The word with its script, if that has no blanks and the vocabulary has other pieces of it.

    Punctuation that has a token in common with its letters is cut off.
    """
    start, end = word.start, word.end
    if text[start:end].isalnum() and text.isascii():
        return word
    if not text[start:end].isalnum() and not _all_punctuation(text, start, end):
        while is_punctuation(text, start):
            start += 1
        while is_punctuation(text, end - 1) or text[end - 1].isspace():
            end -= 1
    found = script_of(text[start:end])
    if not found and not any(map(str.isalpha, text[start:end])):
        # Signs and digits of a text without blanks.
        wide = any(unicodedata.category(each)[0] == "P" and unicodedata.east_asian_width(each) in "WF"
                   for each in text[start:end])  # fmt: skip
        found = SIGNS if wide or any(map(script, text[:start][-1:] + text[end : end + 1])) else ""
    known = found and len(pieces_by_script(tokenizer).get(found, ())) > 1
    return replace(word, start=start, end=end, script=found if known else "")


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
