"""EDA: one of four easy changes to a text (Wei and Zou 2019).

Synonym replacement, random insertion, random swap, random deletion.
"""

from collections.abc import Callable

import numpy as np

from pipeline.augment.methods.rule_based import Change, change_sides
from pipeline.augment.methods.wordnet import WordNet

SHARE = 0.1
"""Of a text's words, how many change (the paper's α); at least one."""
Words = list[str]


def eda(wordnet: WordNet, sides: tuple[int, ...]) -> Change:
    """Make the way to change a text: each of the four as often as the others.

    Args:
        sides: which texts of a pair change, each in a way of its own.
    """
    ways: list[Callable[[Words, np.random.Generator], Words]] = [
        lambda words, chance: replaced(words, wordnet, chance),
        lambda words, chance: inserted(words, wordnet, chance),
        swapped,
        deleted,
    ]

    return change_sides(sides, lambda words, chance: ways[chance.integers(len(ways))](words, chance))


def count(words: Words) -> int:
    """How many words of a text change."""
    return max(1, int(SHARE * len(words)))


def replaced(words: Words, wordnet: WordNet, chance: np.random.Generator) -> Words:
    """Put synonyms in the place of some words; as many as have any."""
    out = list(words)
    with_synonyms = [i for i, word in enumerate(words) if wordnet.synonyms(word.lower())]
    for i in sorted(chance.permutation(with_synonyms)[: count(words)].astype(int).tolist()):
        out[i] = _one_of(wordnet.synonyms(words[i].lower()), chance)
    return out


def inserted(words: Words, wordnet: WordNet, chance: np.random.Generator) -> Words:
    """Add synonyms of some words anywhere."""
    out = list(words)
    with_synonyms = [word for word in words if wordnet.synonyms(word.lower())]
    for _ in range(count(words) if with_synonyms else 0):
        synonyms = wordnet.synonyms(_one_of(tuple(with_synonyms), chance).lower())
        out.insert(int(chance.integers(len(out) + 1)), _one_of(synonyms, chance))
    return out


def swapped(words: Words, chance: np.random.Generator) -> Words:
    """Let words change places, two at a time."""
    out = list(words)
    for _ in range(count(words) if len(words) > 1 else 0):
        i, j = chance.choice(len(out), size=2, replace=False)
        out[i], out[j] = out[j], out[i]
    return out


def deleted(words: Words, chance: np.random.Generator) -> Words:
    """Drop each word with chance SHARE, never all of them."""
    kept = [word for word, drop in zip(words, chance.random(len(words)) < SHARE, strict=True) if not drop]
    return kept or [_one_of(tuple(words), chance)]


def _one_of(words: tuple[str, ...], chance: np.random.Generator) -> str:
    return words[int(chance.integers(len(words)))]
