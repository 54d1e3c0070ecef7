"""Rules of BiLSTM_SOFT: words masked, replaced by others of their part of speech, and n-grams (Tang et al. 2019)."""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from pipeline.augment.methods.rule_based import Change, change_sides
from pipeline.augment.methods.wordnet import WordNet

MASK, SWAP, NGRAM, LONGEST = 0.1, 0.1, 0.25, 5
"""Chances that a word is masked, that it is replaced, that only an n-gram of the text is kept; its most words."""


def rules(wordnet: WordNet, texts: Iterable[str], mask: str, sides: tuple[int, ...]) -> Change:
    """Make the way to change a text.

    Args:
        texts: whose words take the place of others of their part of speech. A part of speech is what WordNet takes
            a word for mostly, in place of a tagger; words that are not there are masked at most.
        mask: the token that stands for a masked word.
        sides: which texts of a pair change.
    """
    known: dict[str, list[str]] = defaultdict(list)
    for word in sorted({word.lower() for text in texts for word in text.split()}):
        if (kind := wordnet.part_of_speech(word)) is not None:
            known[kind].append(word)

    def one(word: str, chance: np.random.Generator) -> str:
        draw = chance.random()
        if draw < MASK:
            return mask
        kind = wordnet.part_of_speech(word.lower())
        if draw < MASK + SWAP and kind is not None and known[kind]:
            return known[kind][int(chance.integers(len(known[kind])))]
        return word

    def change(words: list[str], chance: np.random.Generator) -> list[str]:
        words = [one(word, chance) for word in words]
        if chance.random() < NGRAM:
            n = int(chance.integers(1, min(LONGEST, len(words)) + 1))
            start = int(chance.integers(len(words) - n + 1))
            words = words[start : start + n]
        return words

    return change_sides(sides, change)
