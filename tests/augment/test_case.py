"""Capitals of new words: as the old word had them, from the first letter to all of them."""

import pytest
from helpers.tiny_tokenizers import tiny_tokenizer

from pipeline.augment.case import is_uncased, with_capitals


@pytest.mark.parametrize(
    ("new", "old", "before", "wanted"),
    [
        ("parcel", "film", "the ", "parcel"),
        ("parcel", "Film", "the ", "Parcel"),
        ("parcel", "FILM", "the ", "PARCEL"),
        ("parcel", "McDonald", "", "Parcel"),
        ("parcel", "iPhone", "", "parcel"),
        ("the", "A", "", "The"),
        ("the", "A", "It was. ", "The"),
        ("the", "A", "He said: \u201c", "The"),
        ("they", "I", "when ", "they"),
        ("they", "3D", "in ", "they"),
        ("ß", "Film", "", "ß"),
        ("!", "Film", "", "!"),
        ("élan", "Film", "", "Élan"),
        ("电", "Film", "", "电"),
        ("motion picture", "Film", "", "Motion picture"),
    ],
)
def test_capitals_of_the_old_word(new, old, before, wanted):
    assert with_capitals(new, old, before) == wanted


def test_which_tokenizers_are_uncased(tokenizer, byte_level, sentence_piece):
    assert [is_uncased(each) for each in (tokenizer, byte_level, sentence_piece)] == [True, False, False]
    uncased = {family for family in ("bert", "bert_cased", "mpnet", "albert") if is_uncased(tiny_tokenizer(family))}
    assert uncased == {"bert", "mpnet", "albert"}
