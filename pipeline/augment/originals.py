"""Original texts as the sampler sees them: their words, the characters and tokens of each, and how to replace them."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from transformers import PreTrainedTokenizerFast

from pipeline.augment.spans import Span, Word, find_words, keep_marks, with_script
from pipeline.augment.words import special_tokens
from pipeline.data.scripts import script
from pipeline.data.texts import Texts
from pipeline.params.schema import Params

SIDES = {"both": (0, 1), "first": (0,), "second": (1,)}
"""Which texts of a pair `augment.side` lets change."""
Shared = Literal["each", "alike", "kept"]
"""What `augment.shared` makes of the words that both texts of a pair have."""


@dataclass(frozen=True, slots=True)
class Original:
    """A real text, or pair, with its encoding and the words that may change.

    Args:
        units: what Eq. 11 draws from, in the order of their first words: of each the indices in `words` of those that
            change together, into the same new word.
        kept: stretches that no method changes, in order.
    """

    id: str
    texts: tuple[str, ...]
    label: str | float | None
    token_ids: list[int]
    token_type_ids: list[int]
    words: list[Word]
    units: list[tuple[int, ...]]
    kept: tuple[Span, ...] = ()

    def word_text(self, word: Word) -> str:
        """The word as it is written in the text."""
        return self.texts[word.side][word.start : word.end]

    def replace_words(self, positions: Sequence[int], new_words: Sequence[str]) -> tuple[tuple[str, ...], list[Span]]:
        """Replace the words at rising positions; every other character stays as it is.

        A blank is added where a new word would run into the text beside it: the apostrophe of `it's` may become a word.

        Returns the texts, and where in them each new word is.
        """
        texts: list[str] = []
        spans: list[Span] = []
        for side, text in enumerate(self.texts):
            parts, length, cursor = [""], 0, 0
            for position, new_word in zip(positions, new_words, strict=True):
                word = self.words[position]
                if word.side != side:
                    continue
                for part in (text[cursor : word.start], new_word):
                    if part:
                        gap = _gap(parts[-1], part)
                        parts += [gap, part]
                        length += len(gap) + len(part)
                spans.append(Span(side, length - len(new_word), length))
                cursor = word.end
            parts += [_gap(parts[-1], text[cursor:]), text[cursor:]]
            texts.append("".join(parts))
        return tuple(texts), spans

    def row(self, sample: int, texts: tuple[str, ...]) -> dict[str, object]:
        """The row of `augmented` for a sample with these texts, without how it was drawn."""
        unknown = ("distance", "log_p_distance", "log_p_positions", "log_p_words", "log_p")
        return {
            "id": f"{self.id}-{sample:03d}",
            "original_id": self.id,
            "text": texts[0],
            "text_pair": texts[1] if len(texts) > 1 else None,
            "original_text": self.texts[0],
            "original_text_pair": self.texts[1] if len(texts) > 1 else None,
            "label": self.label,
            "length": len(self.units),
            "positions": [],
            "old_words": [],
            "new_words": [],
            "old_spans": [],
            "new_spans": [],
            **dict.fromkeys(unknown),
        }


def _gap(before: str, after: str) -> str:
    """A blank between two parts that would otherwise make one word, except in scripts without blanks."""
    if before and after and script(before[-1]) and script(after[0]):
        return ""
    return " " if _joins(before[-1:]) and _joins(after[:1]) else ""


def _joins(character: str) -> bool:
    """Whether a character makes one word with the next, as BERT splits: no blank, punctuation or Chinese character."""
    if not character or character.isspace():
        return False
    if character.isascii():
        return character.isalnum()
    return unicodedata.category(character)[0] != "P" and script(character) != "han"


def _changing(
    words: Sequence[Word], texts: Sequence[str], sides: Sequence[int], shared: Shared
) -> tuple[list[Word], list[tuple[int, ...]]]:
    """The words that may change, and the indices of those that change together."""
    folded = [texts[word.side][word.start : word.end].casefold() for word in words]
    both: set[str] = set()
    if shared != "each":
        first, second = ({key for word, key in zip(words, folded, strict=True) if word.side == side} for side in (0, 1))
        both = first & second
    changing: list[Word] = []
    units: dict[str | int, list[int]] = {}
    for word, key in zip(words, folded, strict=True):
        if word.side in sides and not (shared == "kept" and key in both):
            units.setdefault(key if key in both else len(changing), []).append(len(changing))
            changing.append(word)
    return changing, [tuple(unit) for unit in units.values()]


def encode_originals(
    ids: Sequence[str],
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    labels: Sequence[str | float | None],
    tokenizer: PreTrainedTokenizerFast,
    *,
    max_length: int,
    side: Literal["both", "first", "second"],
    shared: Shared = "each",
    keep: str | None = None,
) -> list[Original]:
    """Encode texts and find their words.

    Positions count over both texts of a pair, the first one's words before the second's. Words beyond `max_length`
    tokens do not change; neither does a side that `side` leaves out.

    Args:
        shared: whether a word that both texts of a pair have, in upper or lower case, changes in each place by itself
            (`each`), in all of them at once and into the same word (`alike`), or not at all (`kept`).
        keep: a regular expression: words of which it matches a character do not change.
    """
    if not texts:
        return []
    pattern, special = re.compile(keep) if keep else None, special_tokens(tokenizer)
    sides = SIDES[side] if pairs is not None else (0,)
    columns = (list(texts),) if pairs is None else (list(texts), list(pairs))
    encoded = tokenizer(*columns, truncation="longest_first", max_length=max_length)
    out = []
    for row, encoding in enumerate(encoded.encodings):
        whole = (texts[row],) if pairs is None else (texts[row], pairs[row])
        words = find_words(encoding, whole)
        if encoding.overflowing:
            # The outermost word of a side that was cut may be half a word.
            left = tokenizer.truncation_side == "left"
            outermost = {word.side: word for word in (reversed(words) if left else words)}
            words = [word for word in words if word is not outermost[word.side] or not _beyond(word, whole, left)]
        words, kept = keep_marks(words, encoding, whole, special, pattern)
        words = [with_script(word, whole[word.side], tokenizer) for word in words]
        words, units = _changing(words, whole, sides, shared)
        out.append(Original(ids[row], whole, labels[row], encoding.ids, encoding.type_ids, words, units, kept))
    return out


def _beyond(word: Word, whole: tuple[str, ...], left: bool) -> str:
    """What a text has beyond a word, after it, or before it if `left`."""
    text = whole[word.side]
    return (text[: word.start] if left else text[word.end :]).strip()


def encode_rows(
    texts: Texts, rows: Sequence[int], tokenizer: PreTrainedTokenizerFast, params: Params
) -> list[Original]:
    """Encode the texts at `rows` and find the words that params let change."""
    return encode_originals(
        [texts.ids[i] for i in rows],
        [texts.texts[i] for i in rows],
        [texts.pairs[i] for i in rows] if texts.pairs is not None else None,
        [texts.label(i) for i in rows],
        tokenizer,
        max_length=params.max_length,
        side=params.augment.side,
        shared=params.augment.shared,
        keep=params.augment.keep,
    )
