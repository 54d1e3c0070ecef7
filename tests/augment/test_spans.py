"""Marks in real texts: special tokens and what `augment.keep` matches are no words."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertTokenizer

from pipeline.augment.originals import encode_originals
from pipeline.augment.spans import Span

MARKS = r"</?\w+>|\[[A-Z]+\]|\bCOL .+? VAL\b|@\w+|https?://\S+"


def read(tokenizer, text, pair=None, **given):
    pairs = None if pair is None else [pair]
    return encode_originals(["o"], [text], pairs, ["x"], tokenizer, max_length=64, side="both", **given)[0]


def words(original):
    return [original.word_text(word) for word in original.words]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("the <e1>film</e1> was good", ["the", "film", "was", "good"]),
        ("[NAME] was funny, [NAME]!", ["was", "funny", ",", "!"]),
        ("COL title VAL a film COL year VAL 7", ["a", "film", "7"]),
        ("@user so bad https://t.co/x?a=1 .", ["so", "bad", "."]),
        ("a film <not> good", ["a", "film", "good"]),
        ("a film < not good", ["a", "film", "<", "not", "good"]),
    ],
)
def test_what_keep_matches_is_no_word(tokenizer, text, wanted):
    original = read(tokenizer, text, keep=MARKS)
    assert words(original) == wanted
    assert len(original.units) == len(wanted)
    assert [text[span.start : span.end] for span in original.kept] == re.findall(MARKS, text)


def test_a_word_is_kept_whole_and_an_empty_match_is_none(tokenizer):
    assert words(read(tokenizer, "the filmgoer was good", keep="mgo|a?")) == ["the", "good"]
    assert read(tokenizer, "the film", keep="x*").kept == ()


def test_both_texts_of_a_pair(tokenizer):
    original = read(tokenizer, "<a> film", "a <a> <b>", keep="<.>")
    assert words(original) == ["film", "a"]
    assert original.kept == (Span(0, 0, 3), Span(1, 2, 5), Span(1, 6, 9))


def test_special_tokens_are_no_words_and_unknown_words_are(tokenizer, byte_level):
    text = "a [SEP] good[MASK] film 😀 [UNK] [PAD]"
    assert words(read(tokenizer, text)) == ["a", "good", "film", "😀"]
    assert words(read(byte_level, "a <mask> film </s>good")) == ["a", "film", "good"]
    own = BertTokenizer(vocab=tokenizer.get_vocab())
    own.add_tokens(["<e1>", "</e1>"], special_tokens=True)
    assert words(read(own, "a <e1>film</e1> 😀")) == ["a", "film", "😀"]


@given(
    st.lists(st.sampled_from(["film", "filmgoer", "<e1>", "[SEP]", "good", "<", "it's", "é"]), max_size=12),
    st.sampled_from(["", " "]),
)
def test_words_are_those_without_marks_that_touch_none(tokenizer, parts, blank):
    text = blank.join(parts)
    original = read(tokenizer, text, keep=r"<e1>|oe|'")
    covered = {at for span in original.kept for at in range(span.start, span.end)}
    plain = read(tokenizer, text)
    assert original.words == [word for word in plain.words if not covered & set(range(word.start, word.end))]
    assert {text[span.start : span.end] for span in original.kept} <= {"<e1>", "oe", "'", "[SEP]"}
