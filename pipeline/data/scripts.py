"""Scripts that are written without blanks between words: Chinese, Japanese, Thai and their like."""

import unicodedata
from functools import lru_cache

_NAMES = {
    "CJK UNIFIED": "han",
    "CJK COMPATIBILITY IDEOGRAPH": "han",
    "IDEOGRAPHIC ITERATION": "han",
    "HIRAGANA": "kana",
    "KATAKANA": "kana",
    "HALFWIDTH KATAKANA": "kana",
    "THAI": "thai",
    "LAO": "lao",
    "KHMER": "khmer",
    "MYANMAR": "myanmar",
    "TIBETAN": "tibetan",
}
"""The script by how Unicode's names of its characters begin."""


@lru_cache(maxsize=1 << 14)
def script(character: str) -> str:
    """`han`, `kana`, `thai` …; an empty text for scripts with blanks, and for punctuation and symbols of all."""
    if character < "\u0e00" or unicodedata.category(character)[0] in "PSZ":
        return ""
    name = unicodedata.name(character, "")
    return next((found for prefix, found in _NAMES.items() if name.startswith(prefix)), "")


def script_of(text: str) -> str:
    """The script of a text if its letters are all of one without blanks; Chinese characters beside kana are kana."""
    found = {script(character) for character in text if character.isalpha()}
    if found == {"han", "kana"}:
        return "kana"
    return found.pop() if len(found) == 1 else ""


def word_count(text: str) -> int:
    """Words between blanks; without blanks every two characters count as a word."""
    return max(len(text.split()), sum(bool(script(character)) for character in text) // 2)
