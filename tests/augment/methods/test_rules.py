"""The rules of BiLSTM_SOFT: how often each applies, and what it leaves alone."""

import numpy as np
import pytest

from pipeline.augment.methods import rules as module
from pipeline.augment.methods.rules import LONGEST, rules
from pipeline.augment.originals import encode_originals

TEXT = "the good film was so slow and the joke of the bad cast"


@pytest.fixture
def original(tokenizer):
    return encode_originals(["a"], [TEXT], None, ["x"], tokenizer, max_length=64, side="both")[0]


def drawn(original, wordnet, count=2000):
    change = rules(wordnet, [TEXT, "movie plot dull"], "[MASK]", (0, 1))
    rng = np.random.default_rng(0)
    return [change(original, rng)[0].split() for _ in range(count)]


def test_words_are_masked_or_replaced_by_their_like(original, wordnet, monkeypatch):
    monkeypatch.setattr(module, "NGRAM", 0.0)
    words, out = TEXT.split(), drawn(original, wordnet)
    pairs = [(old, new) for text in out for old, new in zip(words, text, strict=True)]
    masked = np.mean([new == "[MASK]" for _, new in pairs])
    assert masked == pytest.approx(0.1, abs=0.005)
    for old, new in pairs:
        if new not in (old, "[MASK]"):
            assert wordnet.part_of_speech(new) == wordnet.part_of_speech(old) is not None
    assert {new for old, new in pairs if old == "the"} == {"the", "[MASK]"}
    assert {new for old, new in pairs if old == "joke"} == {"joke", "[MASK]", "film", "movie", "plot", "cast"}
    # Of four nouns and two more in the other text, five of six draws are another noun.
    replaced = np.mean([new not in (old, "[MASK]") for old, new in pairs if old == "joke"])
    assert replaced == pytest.approx(0.1 * 4 / 5, abs=0.02)


def test_a_replacement_has_the_capitals_of_its_word(tokenizer, wordnet, monkeypatch):
    monkeypatch.setattr(module, "NGRAM", 0.0)
    (original,) = encode_originals(["a"], ["JOKE"], None, ["x"], tokenizer, max_length=64, side="both")
    assert {text[0] for text in drawn(original, wordnet, 300)} - {"[MASK]"} <= {"JOKE", "FILM", "MOVIE", "PLOT", "CAST"}


def test_a_quarter_are_n_grams(original, wordnet):
    lengths = [len(text) for text in drawn(original, wordnet)]
    assert np.mean([length <= LONGEST for length in lengths]) == pytest.approx(0.25, abs=0.03)
    assert {length for length in lengths if length != len(TEXT.split())} == set(range(1, LONGEST + 1))


def test_nothing_to_change(tokenizer, wordnet):
    (empty,) = encode_originals(["a"], ["  "], None, ["x"], tokenizer, max_length=64, side="both")
    assert rules(wordnet, [TEXT], "[MASK]", (0, 1))(empty, np.random.default_rng(0)) is None
