"""Which rows are empty, duplicates, or leak the held-out texts."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import takewhile

import numpy as np
import numpy.typing as npt

Row = tuple[str, ...]
"""The texts of a row: one, or the two of a pair."""
Mask = npt.NDArray[np.bool_]

FRAGMENT = 20
"""Normalised characters from which on a part of a held-out text counts as a leak."""
_BETWEEN_DIGITS = re.compile(r"(\d)[\W_]+(?=\d)")
_BREAK = re.compile(r"[\W_]+")
_ASCII_BREAKS = {code: None for code in range(128) if not chr(code).isalnum()}


def normalise(text: str) -> str:
    """The form in which texts are compared: NFKC, without letter case, white space and punctuation.

    Letters and digits remain, with their accents and vowel signs: `Do n't !` becomes `dont`. Any break between two
    digits becomes one space, so that 2.5 differs from 25. A text without letters and digits, such as an emoji, only
    loses the white space around it.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    # Folding leaves no capital, so that X can mark the breaks between digits while the other breaks are removed.
    folded = _BETWEEN_DIGITS.sub(r"\1X", folded)
    folded = folded.translate(_ASCII_BREAKS) if folded.isascii() else _BREAK.sub(_marks, folded)
    return folded.replace("X", " ") or text.strip()


def _marks(match: re.Match[str]) -> str:
    """The accents and vowel signs at a break's beginning: not letters for `re`, but part of the letter before them."""
    return "".join(takewhile(lambda character: unicodedata.category(character) in ("Mn", "Mc"), match.group()))


def empty(rows: Sequence[Row]) -> Mask:
    """True where a text, or either text of a pair, has no visible character."""
    return _mask(not all(map(_is_visible, row)) for row in rows)


def _is_visible(text: str) -> bool:
    return any(character.isprintable() and not character.isspace() for character in text)


def repeated(rows: Sequence[Row]) -> Mask:
    """True where an earlier normalised row is the same; the first of several is not repeated.

    Pairs are the same if both texts are, in the same order: a premise and its hypothesis swapped are another pair.
    """
    first: dict[Row, int] = {}
    return _mask(first.setdefault(row, position) != position for position, row in enumerate(rows))


def conflicting(rows: Sequence[Row], labels: Sequence[str]) -> Mask:
    """True where the first row with the same normalised texts has another label: one of the two is wrong."""
    first: dict[Row, str] = {}
    return _mask(first.setdefault(row, label) != label for row, label in zip(rows, labels, strict=True))


def leaked(rows: Sequence[Row], held_out: Iterable[Row]) -> Mask:
    """True where either side of a normalised row is a side of a held-out row, or a fragment of one.

    A fragment has `FRAGMENT` characters or more: some tables hold phrases from the sentences of others.
    """
    sides = {side for row in held_out for side in row}
    joined = "\n".join(sorted(sides))
    # Speed: a side is searched for only if its first characters occur somewhere.
    windows = {side[i : i + FRAGMENT] for side in sides for i in range(len(side) - FRAGMENT + 1)}
    return _mask(any(side in sides or (side[:FRAGMENT] in windows and side in joined) for side in row) for row in rows)


def _mask(values: Iterable[bool]) -> Mask:
    return np.fromiter(values, dtype=np.bool_)
