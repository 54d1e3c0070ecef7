"""Which rows are empty, stand twice, or give away what the held-out texts say."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import takewhile

import numpy as np
import numpy.typing as npt

Row = tuple[str, ...]
"""What a row says: one text, or the two of a pair."""
Mask = npt.NDArray[np.bool_]

FRAGMENT = 20
_BETWEEN_DIGITS = re.compile(r"(\d)[\W_]+(?=\d)")
_BREAK = re.compile(r"[\W_]+")
_ASCII_BREAKS = {code: None for code in range(128) if not chr(code).isalnum()}


def normalise(text: str) -> str:
    """The text as it is compared: compatible characters, letter case, spacing and punctuation do not count.

    Letters and digits remain, with their accents and vowel signs; `Do n't !` is `dont`. A break between two digits
    still counts, whatever it is, so that 2.5 is not 25. A text without any letter or digit, such as an emoji, is
    compared as it stands, without the space around it.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    # No capital is left after folding, so that one can stand for a break while the others go.
    folded = _BETWEEN_DIGITS.sub(r"\1X", folded)
    folded = folded.translate(_ASCII_BREAKS) if folded.isascii() else _BREAK.sub(_marks, folded)
    return folded.replace("X", " ") or text.strip()


def _marks(found: re.Match[str]) -> str:
    """The accents and vowel signs a break begins with: to `re` no letters, but part of the one before them."""
    return "".join(takewhile(lambda character: unicodedata.category(character) in ("Mn", "Mc"), found.group()))


def empty(rows: Sequence[Row]) -> Mask:
    """True where a text, or either text of a pair, has nothing to see in it."""
    return _mask(not all(map(_is_visible, row)) for row in rows)


def _is_visible(text: str) -> bool:
    return any(character.isprintable() and not character.isspace() for character in text)


def repeated(rows: Sequence[Row]) -> Mask:
    """True where the same normalised row stood before: the first of several is not repeated.

    A pair is the same if both texts are, in their order: a premise and its hypothesis may well change places.
    """
    first: dict[Row, int] = {}
    return _mask(first.setdefault(row, position) != position for position, row in enumerate(rows))


def conflicting(rows: Sequence[Row], labels: Sequence[str]) -> Mask:
    """True where the same normalised row stood before with another label: one of the two is wrong."""
    first: dict[Row, str] = {}
    return _mask(first.setdefault(row, label) != label for row, label in zip(rows, labels, strict=True))


def leaked(rows: Sequence[Row], held: Iterable[Row]) -> Mask:
    """True where either side of a normalised row is also a side of a held-out one, or a fragment of one.

    A fragment has `FRAGMENT` letters and digits or more: some tables have phrases of the sentences of others.
    """
    sides = {side for row in held for side in row}
    whole = "\n".join(sorted(sides))
    # A side whose beginning stands in none of them need not be looked for.
    beginnings = {side[i : i + FRAGMENT] for side in sides for i in range(len(side) - FRAGMENT + 1)}
    return _mask(
        any(side in sides or (side[:FRAGMENT] in beginnings and side in whole) for side in row) for row in rows
    )


def _mask(values: Iterable[bool]) -> Mask:
    return np.fromiter(values, dtype=np.bool_)
