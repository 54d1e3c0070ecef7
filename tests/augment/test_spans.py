"""Words of real texts: of which size in which script, and what special tokens and `augment.keep` leave of them."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import normalizers, pre_tokenizers
from transformers import BertTokenizer, PreTrainedTokenizerFast

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


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("这部电影，好看！", ["这", "部", "电", "影", "，", "好看", "！"]),
        ("私は映画が好きです。", ["私", "は", "映画", "が", "好き", "で", "す", "。"]),
        ("movie 好看 was", ["movie", "好看", "was"]),
        ("我喜欢movie的故事", ["我", "喜欢", "movie", "的", "故", "事"]),
    ],
)
def test_each_piece_is_a_word_in_scripts_without_blanks(sentence_piece, text, wanted):
    assert words(read(sentence_piece, text)) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("The parcel, which (was) late!", ["The", "parcel", ",", "which", "(", "was", ")", "late", "!"]),
        ("it's 'good'... well-made", ["it's", "'", "good", "'...", "well", "-", "made"]),
        ("l'homme d\u2019or", ["l'homme", "d\u2019or"]),
        ("cafe\u0301, parcel", ["cafe\u0301", ",", "parcel"]),
        ("a <mask> good</s> movie", ["a", "good", "movie"]),
    ],
)
def test_pieces_of_punctuation_are_words_of_their_own(sentence_piece, text, wanted):
    original = read(sentence_piece, text)
    assert words(original) == wanted
    spans = [(word.first_token, word.last_token) for word in original.words]
    assert all(first <= last for first, last in spans)
    assert all(last < first for (_, last), (first, _) in pairwise(spans))


def test_a_tokenizer_that_cuts_no_words_at_all(sentence_piece):
    """Gemma's and others take a whole text for one word; its blanks and punctuation cut it all the same."""
    backend = type(sentence_piece.backend_tokenizer).from_str(sentence_piece.backend_tokenizer.to_str())
    backend.normalizer = normalizers.Replace(" ", "▁")
    backend.pre_tokenizer = pre_tokenizers.Sequence([])
    whole = PreTrainedTokenizerFast(tokenizer_object=backend, cls_token="<s>", sep_token="</s>", pad_token="<pad>")
    assert set(whole("it was a movie").word_ids(0)) == {None, 0}
    assert words(read(whole, "it was, a good movie")) == ["it", "was", ",", "a", "good", "movie"]


def test_letters_and_punctuation_of_one_token(sentence_piece):
    """What is not known is one token: it is replaced without its punctuation."""
    original = read(sentence_piece, "so «Ж» was")
    assert words(original) == ["so", "Ж", "was"]
    assert original.replace_words([1], ["movie"])[0] == ("so «movie» was",)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("我喜欢 movie。", ["han", "han", "", "signs"]),
        ("とても好き, です", ["kana", "kana", "signs", "kana", "kana"]),
        ("a movie, :", ["", "", "", ""]),
        ("ຂ movie", ["", ""]),
    ],
)
def test_scripts_of_words(sentence_piece, text, wanted):
    assert [word.script for word in read(sentence_piece, text).words] == wanted
