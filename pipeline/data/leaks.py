"""Which rows are empty or leak the held-out texts, and the forms in which texts are compared."""

import math
import re
import unicodedata
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import takewhile

import numpy as np
import numpy.typing as npt

Row = tuple[str, ...]
"""The texts of a row: one, or the two of a pair."""
Mask = npt.NDArray[np.bool_]

FRAGMENT = 20
"""Normalised characters from which on a part of a held-out text counts as a leak."""
COMMON = 10
"""A text in so many held-out pairs gives none away, nor does one in half as many, if these are a tenth of all."""
MATTERS = re.compile(
    r"[-−+#=<>%$€£¥:;\U0001f000-\U0001faff☀-➿](?:"
    r"(?<=\w[+#])[+#]*(?!\w)|(?<=\s[+=<>])(?=\s)|(?<=[%$€£¥])|(?<![\w)].)(?<=[-−])(?=\d)"
    r"|(?<!\w.)(?<=[:;=])[-o^']?([()\[\]/\\|]|[DPp]\b)+|(?<=[\U0001f000-\U0001faff☀-➿]))"
)
"""Signs that are part of what a text says: C++ and C#, 5 % and 5 $, -5, x < y, emoticons and emoji.

The first set, in which the search can skip the rest of a text, makes it fast."""
_BETWEEN_DIGITS = re.compile(r"(\d)[\W_]+(?=\d)")
_BREAK = re.compile(r"[\W_]+")
_ASCII_BREAKS = bytes(code for code in range(128) if not chr(code).isalnum())
_NO_DIGITS = bytes(code for code in range(128) if not chr(code).isdigit())
_LOWER = bytes(range(256)).lower()


def normalise(text: str) -> str:
    """The form in which leaks and groups are compared: NFKC, without letter case, white space and punctuation.

    Letters and digits remain, with their accents and vowel signs: `Do n't !` becomes `dont`. Any break between two
    digits becomes one space, so that 2.5 differs from 25. A text without letters and digits, such as an emoji, only
    loses the white space around it.
    """
    if text.isascii():
        # Normalised but for its letter case, and most texts have no two digits; this is faster.
        letters = text.encode().translate(_LOWER, _ASCII_BREAKS)
        if len(letters.translate(None, _NO_DIGITS)) < 2:
            return letters.decode() or text.strip()
        folded = text.lower()
    else:
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    # Folding leaves no capital, so that X can mark the breaks between digits while the other breaks are removed.
    folded = _BETWEEN_DIGITS.sub(r"\1X", folded)
    form = folded.encode().translate(None, _ASCII_BREAKS).decode() if folded.isascii() else _BREAK.sub(_marks, folded)
    return form.replace("X", " ") or text.strip()


def as_read(text: str, normalised: str) -> str:
    """The form in which duplicates are compared: `normalised`, but signs that matter stay where they are.

    A sign in a row counts once: `:)))` and `:)` are the same, and so are two equal emoji in a row.
    """
    pieces, start = [], 0
    for match in MATTERS.finditer(text):
        sign = match.group()
        pieces += [text[start : match.start()], sign if sign[0] in "+#" else "".join(dict.fromkeys(sign))]
        start = match.end()
    if not pieces:
        return normalised
    pieces.append(text[start:])
    words = [normalise(piece) if any(map(str.isalnum, piece)) else "" for piece in pieces[::2]]
    form = words[0]
    for sign, word in zip(pieces[1::2], words[1:], strict=True):
        form += word if not word and form.endswith(sign) else sign + word
    return form


def _marks(match: re.Match[str]) -> str:
    """The accents and vowel signs at a break's beginning: not letters for `re`, but part of the letter before them."""
    return "".join(takewhile(lambda character: unicodedata.category(character) in ("Mn", "Mc"), match.group()))


def empty(rows: Iterable[Row]) -> Mask:
    """True where a text, or either text of a pair, has no visible character."""
    return _mask(not all(map(_is_visible, row)) for row in rows)


def _is_visible(text: str) -> bool:
    return text[:1].isalnum() or any(character.isprintable() and not character.isspace() for character in text)


def leaked(rows: Iterable[Row], held_out: Iterable[Row]) -> Mask:
    """True where a normalised row gives a held-out row away: see `gives_away`."""
    return _mask(map(gives_away(held_out), rows))


def gives_away(held_out: Iterable[Row]) -> Callable[[Row], bool]:
    """A check whether a normalised row gives a held-out row away: it is the same, or has a side or a fragment of one.

    A fragment has `FRAGMENT` characters or more: some tables hold phrases from the sentences of others. A side that
    many held-out pairs have, or a short one that three have, such as the aspect of a review, gives none of them away; a
    pair that is held out, in either order, leaks all the same.
    """
    held = list(held_out)
    if not held:
        return lambda _: False
    times = Counter(side for row in held for side in set(row))
    sides = {side for side, count in times.items() if not _is_common(side, count, held)}
    pairs = {tuple(sorted(row)) for row in held if len(row) > 1}
    joined = "\n".join(sorted(sides))
    # Speed: a side is searched for only if its first characters occur somewhere. Of these places, as many as there are
    # characters, the hashes take 8 bytes each; a set of the texts would take a hundred.
    places = (hash(side[i : i + FRAGMENT]) for side in sides for i in range(len(side) - FRAGMENT + 1))
    windows = np.sort(np.fromiter(places, dtype=np.int64)).data

    def occurs(side: str) -> bool:
        start = hash(side[:FRAGMENT])
        place = bisect_left(windows, start)
        return place < len(windows) and windows[place] == start and side in joined

    def check(row: Row) -> bool:
        return any(side in sides or occurs(side) for side in row) or tuple(sorted(row)) in pairs

    return check


def _is_common(side: str, count: int, held: Sequence[Row]) -> bool:
    """Whether so many held-out pairs share a text that it gives none of them away."""
    if len(held[0]) == 1:
        return False
    return (
        count >= COMMON
        or (count >= COMMON // 2 and COMMON * count >= len(held))
        or (count > 2 and len(side) < FRAGMENT)
    )


def mirrored(rows: Sequence[tuple[Hashable, Hashable]], labels: Sequence[str], scale: float | None) -> Mask:
    """True where an earlier pair has the same texts in the other order, if the labels show the task to be symmetric.

    It is if nine in ten such pairs have the same label as their mirror image, or numbers that differ by less than a
    tenth of their range.

    Args:
        rows: pairs, equal sides for texts that read the same.
        scale: the range of the numbers in a regression; None for classes.
    """
    first: dict[tuple[Hashable, Hashable], int] = {}
    couples = {}
    for position, row in enumerate(rows):
        if row[0] != row[1] and row[::-1] in first:
            couples[position] = first[row[::-1]]
        first.setdefault(row, position)
    same = [
        labels[one] == labels[other]
        if scale is None or not math.isfinite(scale)
        else abs(float(labels[one]) - float(labels[other])) <= scale / 10
        for one, other in couples.items()
    ]
    symmetric = 10 * sum(same) >= 9 * len(same)
    return _mask(symmetric and position in couples for position in range(len(rows)))


def _mask(values: Iterable[bool]) -> Mask:
    return np.fromiter(values, dtype=np.bool_)
