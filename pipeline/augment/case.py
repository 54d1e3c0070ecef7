"""Letter case: a new word in lower case takes the capitals of the word it replaces."""

from transformers import PreTrainedTokenizerFast

ENDS = ".!?…:。！？"
"""After these a sentence begins, and a single capital letter is as capital as a word's first."""
_OPENING = " \t\n\"'“”‘’„«»([{-–—"


def is_uncased(tokenizer: PreTrainedTokenizerFast) -> bool:
    """Whether a tokenizer reads every text in lower case, so that its words have no capitals of their own."""
    normalizer = tokenizer.backend_tokenizer.normalizer
    return normalizer is not None and str(normalizer.normalize_str("A")).strip(" ▁") == "a"


def with_capitals(new: str, old: str, before: str) -> str:
    """A new word with the capitals of the old one: all of them, the first, or none.

    Args:
        before: the text before the old word. Within a sentence a single letter says nothing: `I` is always a capital.
    """
    letters = [letter for letter in old if letter.isalpha()]
    if len(letters) > 1 and all(map(str.isupper, letters)):
        written = new.upper()
    elif old[:1].isupper() and (len(letters) > 1 or before.rstrip(_OPENING)[-1:] in ENDS):
        written = new[:1].upper() + new[1:]
    else:
        return new
    # The capitals of ß are SS, which would be another word.
    return written if written.lower() == new else new
