"""EDA's four changes: what each of them keeps, and how much it changes."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.augment.methods.eda import (
    count,
    delete_words,
    eda,
    insert_synonyms,
    replace_with_synonyms,
    swap_words,
)
from pipeline.augment.methods.rule_based import augment_each
from pipeline.augment.originals import encode_originals

KNOWN = ["film", "good", "bad", "slow", "joke"]
texts = st.lists(st.sampled_from([*KNOWN, "the", "so", "of", "!", "warm"]), min_size=1, max_size=40)
rngs = st.integers(0, 2**32).map(np.random.default_rng)


@given(texts)
def test_a_tenth_changes_and_one_at_least(words):
    assert count(words) == max(1, len(words) // 10)


@given(words=texts, rng=rngs)
def test_replaced_words_become_their_synonyms(wordnet, words, rng):
    out = replace_with_synonyms(words, wordnet, rng)
    changed = [(old, new) for old, new in zip(words, out, strict=True) if old != new]
    assert len(changed) == min(count(words), sum(word in KNOWN for word in words))
    assert all(new in wordnet.synonyms(old) for old, new in changed)


def test_a_synonym_has_the_capitals_of_its_word(wordnet):
    drawn = {tuple(replace_with_synonyms(["Film"], wordnet, np.random.default_rng(seed))) for seed in range(20)}
    assert drawn == {("Movie",), ("Motion picture",), ("Shoot",)}


@given(words=texts, rng=rngs)
def test_synonyms_are_added_and_nothing_is_lost(wordnet, words, rng):
    out = insert_synonyms(words, wordnet, rng)
    added = Counter(out) - Counter(words)
    assert Counter(words) <= Counter(out)
    assert sum(added.values()) == (count(words) if set(words) & set(KNOWN) else 0)
    assert set(added) <= {synonym for word in words for synonym in wordnet.synonyms(word)}


@given(words=texts, rng=rngs)
def test_swapped_words_are_the_same_words(words, rng):
    out = swap_words(words, rng)
    assert Counter(out) == Counter(words)
    assert sum(old != new for old, new in zip(words, out, strict=True)) <= 2 * count(words)


@given(words=texts, rng=rngs)
def test_some_words_are_dropped_never_all(words, rng):
    out = delete_words(words, rng)
    left = iter(words)
    assert out
    assert all(word in left for word in out)


def test_a_tenth_is_dropped(wordnet):
    rng = np.random.default_rng(0)
    lengths = [len(delete_words(["a"] * 100, rng)) for _ in range(500)]
    assert np.mean(lengths) == pytest.approx(90, abs=0.5)


def originals(tokenizer, texts, pairs=None, side="both"):
    ids = [f"o{row}" for row in range(len(texts))]
    return encode_originals(ids, texts, pairs, ["x"] * len(texts), tokenizer, max_length=64, side=side)


def test_rows_and_their_counts(wordnet, tokenizer):
    """Each of the four is there, no sample repeats another, and the other originals do not matter."""
    long = "the good film was so slow and the joke of the bad cast"
    given_ = originals(tokenizer, [long, "", "the"])
    rows, counts = augment_each(given_, 40, eda(wordnet, (0, 1)), 1)
    assert counts == {"not_distinct": 40, "too_short": 1}
    of_first = [row["text"] for row in rows if row["original_id"] == "o0"]
    assert len(set(of_first)) == 40
    assert long not in of_first
    lengths = Counter(np.sign(len(text.split()) - len(long.split())) for text in of_first)
    assert min(lengths[sign] for sign in (-1, 0, 1)) >= 3
    assert {row["log_p"] for row in rows} == {row["distance"] for row in rows} == {None}
    alone, _ = augment_each(given_[:1], 40, eda(wordnet, (0, 1)), 1)
    assert alone == rows[:40]
    later, _ = augment_each(given_[:1], 20, eda(wordnet, (0, 1)), 1, offset=20)
    assert [row["id"] for row in later] == [row["id"] for row in rows[20:40]]


def test_a_single_text_changes_whatever_side_may(wordnet, tokenizer):
    given_ = originals(tokenizer, ["the good film was slow"])
    rows, _ = augment_each(given_, 10, eda(wordnet, (1,)), 1)
    assert rows == augment_each(given_, 10, eda(wordnet, (0, 1)), 1)[0]
    assert len({row["text"] for row in rows}) > 5


@pytest.mark.parametrize(("sides", "kept"), [((0,), "text_pair"), ((1,), "text")])
def test_a_pair_changes_where_it_may(wordnet, tokenizer, sides, kept):
    given_ = originals(tokenizer, ["the good film was slow"], ["a bad joke so slow"])
    rows, _ = augment_each(given_, 10, eda(wordnet, sides), 1)
    assert {row[kept] for row in rows} == {rows[0][f"original_{kept}"]}
    other = "text" if kept == "text_pair" else "text_pair"
    assert len({row[other] for row in rows}) > 5
