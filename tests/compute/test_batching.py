"""Batches hold every row once, have little padding, and equal those the tokenizer pads."""

from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.compute import batching
from pipeline.compute.batching import Ragged, budget_batches, collate, encode, epoch_batches, pad, row_starts

lengths = st.lists(st.integers(1, 60), min_size=1, max_size=200).map(np.array)


def test_encode_keeps_texts_apart(tokenizer):
    encoded = encode(tokenizer, ["the film", "a very good joke !"], None, 16)
    assert len(encoded) == 2
    assert encoded.lengths.tolist() == [4, 7]
    assert encoded.token_type_ids is None
    assert tokenizer.convert_ids_to_tokens(encoded.input_ids[1].tolist()) == [
        "[CLS]",
        "a",
        "very",
        "good",
        "joke",
        "!",
        "[SEP]",
    ]


def test_encode_cuts_the_longer_text_of_a_pair(tokenizer):
    encoded = encode(tokenizer, ["the film"], ["a very very very very good joke"], 9)
    tokens = tokenizer.convert_ids_to_tokens(encoded.input_ids[0].tolist())
    assert tokens == ["[CLS]", "the", "film", "[SEP]", "a", "very", "very", "very", "[SEP]"]
    assert encoded.token_type_ids[0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 1]


def test_encode_gives_the_same_however_many_texts_the_tokenizer_is_given(tokenizer, monkeypatch):
    texts, pairs = ["the film", "a joke", "it was never slow .", "a good plot"], ["good", "not so good", ".", "the"]
    whole = encode(tokenizer, texts, pairs, 8)
    monkeypatch.setattr(batching, "TEXTS_PER_CALL", 3)
    pieced = encode(tokenizer, texts, pairs, 8)
    assert [row.tolist() for row in pieced.input_ids] == [row.tolist() for row in whole.input_ids]
    assert [row.tolist() for row in pieced.token_type_ids] == [row.tolist() for row in whole.token_type_ids]


def test_encode_keeps_the_ids_of_a_large_vocabulary(monkeypatch):
    """Ids are held in two bytes as long as all fit."""

    class Characters:
        model_input_names, pad_token_id = ("input_ids",), 0

        def __call__(self, texts, pairs, **_options):
            return {"input_ids": [[ord(character) for character in text] for text in texts]}

    texts = ["ab", "", "\uffff", "a\U00010000", "\U0010ffff", "c"]
    monkeypatch.setattr(batching, "TEXTS_PER_CALL", 1)
    for part in (texts[:3], texts):
        encoded = encode(Characters(), part, None, 8)
        assert ["".join(map(chr, row)) for row in encoded.input_ids] == part
    assert encode(Characters(), texts[:3], None, 8).input_ids.values.itemsize == 2


@given(st.lists(st.lists(st.integers(0, 9), max_size=4), min_size=1, max_size=8), st.data())
def test_ragged_rows(rows, data):
    ragged = Ragged(np.array([*chain.from_iterable(rows)], np.int32), row_starts([*map(len, rows)]))
    assert len(ragged) == len(rows)
    assert ragged.lengths.tolist() == [len(row) for row in rows]
    assert [row.tolist() for row in ragged] == rows
    assert ragged[-1].tolist() == rows[-1]
    some = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=8))
    taken = ragged.take(np.array(some, dtype=np.int64))
    assert [row.tolist() for row in taken] == [rows[row] for row in some]
    assert taken.values.dtype == np.int32


def test_encode_of_nothing(tokenizer):
    assert len(encode(tokenizer, [], None, 16)) == 0


def test_collate_equals_what_the_tokenizer_pads(tokenizer):
    texts, pairs = ["the film", "a joke", "it was never slow ."], ["good", "not so good", "."]
    encoded = encode(tokenizer, texts, pairs, 16)
    rows = np.array([2, 0])
    batch = collate(encoded, rows)
    expected = tokenizer([texts[i] for i in rows], [pairs[i] for i in rows], padding=True, return_tensors="pt")
    assert set(batch) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(batch[name], value)


def test_collate_of_texts_equals_padded(tokenizer):
    encoded = encode(tokenizer, ["the film", "it was never slow ."], None, 16)
    tokens, attention = pad([row.tolist() for row in encoded.input_ids], tokenizer.pad_token_id)
    batch = collate(encoded, np.array([0, 1]))
    torch.testing.assert_close(batch["input_ids"], tokens)
    torch.testing.assert_close(batch["attention_mask"], attention)


@given(lengths, st.integers(1, 300))
def test_batches_stay_within_the_budget(lengths, tokens):
    batches = budget_batches(lengths, tokens)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert all(len(rows) == 1 or len(rows) * lengths[rows].max() <= tokens for rows in batches)
    longest = [lengths[rows].max() for rows in batches]
    assert longest == sorted(longest, reverse=True)


@given(lengths, st.integers(1, 40), st.integers(0, 9))
@settings(max_examples=50)
def test_shuffled_batches_serve_every_row_once(lengths, size, seed):
    batches = epoch_batches(lengths, size=size, rng=np.random.default_rng(seed))
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert len(batches) == -(-len(lengths) // size)
    assert sorted(len(rows) for rows in batches)[1:] == [size] * (len(batches) - 1)
    again = epoch_batches(lengths, size=size, rng=np.random.default_rng(seed))
    assert all(np.array_equal(one, other) for one, other in zip(batches, again, strict=True))


def test_shuffled_batches_waste_less_than_plain_shuffling():
    rng = np.random.default_rng(1)
    lengths = rng.integers(5, 120, 4000)

    def padded_tokens(batches):
        return sum(len(rows) * lengths[rows].max() for rows in batches)

    plain = np.split(rng.permutation(4000), 125)
    sorted_within = epoch_batches(lengths, size=32, rng=rng)
    assert padded_tokens(sorted_within) < 1.1 * lengths.sum() < 0.7 * padded_tokens(plain)


@pytest.mark.parametrize("rows", [80, 1000])
def test_shuffled_batches_change_from_epoch_to_epoch(rows):
    lengths = np.arange(rows)
    rng = np.random.default_rng(1)
    epochs = [epoch_batches(lengths, size=16, rng=rng) for _ in range(2)]
    first, second = ({frozenset(rows.tolist()) for rows in batches} for batches in epochs)
    assert len(first & second) <= len(first) // 2
