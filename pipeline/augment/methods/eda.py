"""EDA: one of four easy changes to a text (Wei and Zou 2019).

Synonym replacement, random insertion, random swap, random deletion.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from pipeline.augment.case import with_capitals
from pipeline.augment.methods.interface import Draw, MethodInputs
from pipeline.augment.methods.rule_based import Change, augment_each, change_sides
from pipeline.augment.methods.wordnet import WordNet, load_wordnet
from pipeline.augment.originals import SIDES

SHARE = 0.1
"""The share of a text's words that change (the paper's α); at least one word."""
Words = list[str]


def build(inputs: MethodInputs) -> Draw:
    """Load WordNet and make the function that draws."""
    change = eda(load_wordnet(), SIDES[inputs.params.augment.side])
    return partial(augment_each, change=change, seed=inputs.params.seed)


def eda(wordnet: WordNet, sides: tuple[int, ...]) -> Change:
    """Make the function that changes a text: each of the four changes is equally likely.

    Args:
        sides: which texts of a pair change, each by a change of its own.
    """
    changes: list[Callable[[Words, np.random.Generator], Words]] = [
        lambda words, rng: replace_with_synonyms(words, wordnet, rng),
        lambda words, rng: insert_synonyms(words, wordnet, rng),
        swap_words,
        delete_words,
    ]

    return change_sides(sides, lambda words, rng: changes[rng.integers(len(changes))](words, rng))


def count(words: Words) -> int:
    """How many words of a text change."""
    return max(1, int(SHARE * len(words)))


def replace_with_synonyms(words: Words, wordnet: WordNet, rng: np.random.Generator) -> Words:
    """Replace `count` words by synonyms, or as many as have any."""
    out = list(words)
    with_synonyms = [i for i, word in enumerate(words) if wordnet.synonyms(word.lower())]
    for i in sorted(rng.permutation(with_synonyms)[: count(words)].astype(int).tolist()):
        out[i] = with_capitals(_choice(wordnet.synonyms(words[i].lower()), rng), words[i], " ".join(words[:i]))
    return out


def insert_synonyms(words: Words, wordnet: WordNet, rng: np.random.Generator) -> Words:
    """Insert synonyms of some of the words at random places."""
    out = list(words)
    with_synonyms = [word for word in words if wordnet.synonyms(word.lower())]
    for _ in range(count(words) if with_synonyms else 0):
        synonyms = wordnet.synonyms(_choice(tuple(with_synonyms), rng).lower())
        out.insert(int(rng.integers(len(out) + 1)), _choice(synonyms, rng))
    return out


def swap_words(words: Words, rng: np.random.Generator) -> Words:
    """Swap two words, `count` times."""
    out = list(words)
    for _ in range(count(words) if len(words) > 1 else 0):
        i, j = rng.choice(len(out), size=2, replace=False)
        out[i], out[j] = out[j], out[i]
    return out


def delete_words(words: Words, rng: np.random.Generator) -> Words:
    """Delete each word with probability SHARE, but never all of them."""
    kept = [word for word, drop in zip(words, rng.random(len(words)) < SHARE, strict=True) if not drop]
    return kept or [_choice(tuple(words), rng)]


def _choice(words: tuple[str, ...], rng: np.random.Generator) -> str:
    return words[int(rng.integers(len(words)))]
