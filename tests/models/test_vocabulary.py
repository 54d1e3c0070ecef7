"""Whether two tokenizers give the same tokens."""

import pytest
from transformers import BertTokenizer

from pipeline.models.vocabulary import same_vocabulary
from pipeline.storage.closure import closure


@pytest.fixture
def cased(tokenizer):
    return BertTokenizer(vocab=tokenizer.get_vocab(), do_lower_case=False)


@pytest.fixture
def larger(tokenizer):
    return BertTokenizer(vocab={**tokenizer.get_vocab(), "zebra": len(tokenizer)})


def test_same_vocabulary(tokenizer, cased, larger):
    tokenizer(["the film"], truncation=True, max_length=4)
    assert same_vocabulary(tokenizer, BertTokenizer(vocab=tokenizer.get_vocab()))
    assert not same_vocabulary(tokenizer, larger)
    assert not same_vocabulary(tokenizer, cased)


def test_texts_cut_at_the_other_end_have_other_tokens(tokenizer):
    other = BertTokenizer(vocab=tokenizer.get_vocab(), truncation_side="left")
    assert other(["the film is good"], truncation=True, max_length=3) != tokenizer(
        ["the film is good"], truncation=True, max_length=3
    )
    assert not same_vocabulary(tokenizer, other)


def test_it_decides_what_distill_computes():
    assert "pipeline.models.vocabulary" in closure("stages.distill")
