"""Original texts as the sampler sees them: their words, where each stands, and their pieces."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from transformers import PreTrainedTokenizerFast

IDEOGRAPHS = ("CJK UNIFIED", "CJK COMPATIBILITY IDEOGRAPH")
"""How Unicode's names of Chinese characters begin, each of which is a word to BERT."""


@dataclass(frozen=True, slots=True)
class Word:
    """A whole word that may change: its characters in one of the texts, and its pieces in the encoding."""

    side: int
    start: int
    end: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Original:
    """A real text, or pair, with its encoding and the words that may change."""

    id: str
    texts: tuple[str, ...]
    label: str | float | None
    pieces: list[int]
    types: list[int]
    words: list[Word]

    def written(self, word: Word) -> str:
        """The word as it stands in the text."""
        return self.texts[word.side][word.start : word.end]

    def replaced(self, changed: Sequence[int], new: Sequence[str]) -> tuple[str, ...]:
        """The texts with the words at positions `changed`, in rising order, written anew; all else to the letter.

        A new word that would run into its neighbours is set apart: the apostrophe of `it's` may become a word.
        """
        out = []
        for side, text in enumerate(self.texts):
            parts, behind = [""], 0
            for position, written in zip(changed, new, strict=True):
                word = self.words[position]
                if word.side == side:
                    for part in (text[behind : word.start], written):
                        parts += [_gap(parts[-1], part), part] if part else []
                    behind = word.end
            parts += [_gap(parts[-1], text[behind:]), text[behind:]]
            out.append("".join(parts))
        return tuple(out)

    def row(self, sample: int, texts: tuple[str, ...]) -> dict[str, object]:
        """The row of `augmented` of a sample with these texts, without what is known of how it was drawn."""
        drawn = ("distance", "log_p_distance", "log_p_positions", "log_p_words", "log_p")
        return {
            "id": f"{self.id}-{sample:03d}",
            "original_id": self.id,
            "text": texts[0],
            "text_pair": texts[1] if len(texts) > 1 else None,
            "original_text": self.texts[0],
            "original_text_pair": self.texts[1] if len(texts) > 1 else None,
            "label": self.label,
            "length": len(self.words),
            "positions": [],
            "old_words": [],
            "new_words": [],
            **dict.fromkeys(drawn),
        }


def _gap(before: str, after: str) -> str:
    """A space between two parts that would else make one word of two."""
    return " " if _joins(before[-1:]) and _joins(after[:1]) else ""


def _joins(character: str) -> bool:
    """Whether a character makes one word with the next, as BERT splits: no blank, punctuation or Chinese character."""
    if not character or character.isspace():
        return False
    if character.isascii():
        return character.isalnum()
    return unicodedata.category(character)[0] != "P" and not unicodedata.name(character, "").startswith(IDEOGRAPHS)


def _trimmed(words: list[Word], texts: Sequence[str]) -> list[Word]:
    """The words without blanks before them, which some vocabularies count in, with the accents that others leave out.

    What was blank alone is no word.
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


def read_originals(
    ids: Sequence[str],
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    labels: Sequence[str | float],
    tokenizer: PreTrainedTokenizerFast,
    *,
    max_length: int,
    side: Literal["both", "first", "second"],
) -> list[Original]:
    """Encode texts and find their words.

    Positions count over both texts of a pair, the first one's words before the second's. What lies beyond
    `max_length` pieces does not change; neither does a side that `side` leaves out.
    """
    if not texts:
        return []
    sides = {"both": (0, 1), "first": (0,), "second": (1,)}[side] if pairs is not None else (0,)
    given = (list(texts),) if pairs is None else (list(texts), list(pairs))
    encoded = tokenizer(*given, truncation="longest_first", max_length=max_length)
    out = []
    for row, encoding in enumerate(encoded.encodings):
        words: list[Word] = []
        previous = None
        # Each of these lists is built anew whenever it is asked for.
        places = zip(encoding.sequence_ids, encoding.word_ids, encoding.offsets, strict=True)
        for piece, (of_side, of_word, (start, end)) in enumerate(places):
            if of_side not in sides or of_word is None:
                continue
            if (of_side, of_word) == previous:
                words[-1] = Word(of_side, words[-1].start, end, words[-1].first, piece)
            else:
                words.append(Word(of_side, start, end, piece, piece))
            previous = (of_side, of_word)
        pair = () if pairs is None else (pairs[row],)
        words = _trimmed(words, (texts[row], *pair))
        if encoding.overflowing:
            # The last word of a text that was cut may be half a word.
            last = {word.side: word for word in words}
            words = [word for word in words if word is not last[word.side]]
        out.append(Original(ids[row], (texts[row], *pair), labels[row], encoding.ids, encoding.type_ids, words))
    return out
