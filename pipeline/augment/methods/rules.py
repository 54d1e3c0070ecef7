"""Rules of BiLSTM_SOFT: words masked, replaced by others of their part of speech, and n-grams (Tang et al. 2019)."""

from collections import defaultdict
from collections.abc import Iterable
from functools import partial

import numpy as np

from pipeline.augment.case import with_capitals
from pipeline.augment.methods.interface import Draw, MethodInputs
from pipeline.augment.methods.rule_based import Change, augment_each, change_sides
from pipeline.augment.methods.wordnet import WordNet, load_wordnet
from pipeline.augment.originals import SIDES

MASK = 0.1
"""Probability that a word is masked."""
SWAP = 0.1
"""Probability that a word is replaced by another of its part of speech."""
NGRAM = 0.25
"""Probability that only an n-gram of the text is kept."""
LONGEST = 5
"""The largest n of an n-gram."""


def build(inputs: MethodInputs) -> Draw:
    """Load WordNet and make the function that draws; replacements come from the target's training texts."""
    texts = [*inputs.training_texts.texts, *(inputs.training_texts.pairs or [])]
    change = rules(load_wordnet(), texts, str(inputs.tokenizer.mask_token), SIDES[inputs.params.augment.side])
    return partial(augment_each, change=change, seed=inputs.params.seed)


def rules(wordnet: WordNet, texts: Iterable[str], mask: str, sides: tuple[int, ...]) -> Change:
    """Make the function that changes a text.

    Args:
        texts: their words replace others of the same part of speech. In place of a tagger WordNet gives the part of
            speech that a word most often is; words that it does not have are masked at most.
        mask: the token that replaces a masked word.
        sides: which texts of a pair change.
    """
    by_part_of_speech: dict[str, list[str]] = defaultdict(list)
    for word in sorted({word.lower() for text in texts for word in text.split()}):
        if (part := wordnet.part_of_speech(word)) is not None:
            by_part_of_speech[part].append(word)

    def change_word(word: str, before: str, rng: np.random.Generator) -> str:
        uniform = rng.random()
        if uniform < MASK:
            return mask
        part = wordnet.part_of_speech(word.lower())
        if uniform < MASK + SWAP and part is not None and by_part_of_speech[part]:
            new = by_part_of_speech[part][int(rng.integers(len(by_part_of_speech[part])))]
            return with_capitals(new, word, before)
        return word

    def change(words: list[str], rng: np.random.Generator) -> list[str]:
        words = [change_word(word, words[i - 1] if i else "", rng) for i, word in enumerate(words)]
        if rng.random() < NGRAM:
            n = int(rng.integers(1, min(LONGEST, len(words)) + 1))
            start = int(rng.integers(len(words) - n + 1))
            words = words[start : start + n]
        return words

    return change_sides(sides, change)
