"""Changed words are marked, and nothing else is."""

import re

import pytest

from pipeline.augment.changes import Change, compare_words
from pipeline.report.marking import marked


def compared(old, new):
    return marked(old, new, compare_words(old, new))


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ("a good film .", "a poor film .", "a <del>good</del> <ins>poor</ins> film ."),
        ("a good film", "a very good film", "a <ins>very</ins> good film"),
        ("a very good film", "a good film", "a <del>very</del> good film"),
        ("good film", "film", "<del>good</del> film"),
        ("a b c d", "a x y d", "a <del>b c</del> <ins>x y</ins> d"),
        ("it's good", "it was good", "it <del>&#39;s</del> <ins>was</ins> good"),
        ("a good film", "a good film", "a good film"),
        ("", "", ""),
    ],
)
def test_words_that_differ(old, new, shown):
    assert compared(old, new) == shown


def test_words_that_are_known_to_be_replaced():
    shown = marked("a a b", "a c b", [Change(2, 3, 2, 3)])
    assert shown == "a <del>a</del> <ins>c</ins> b"


def test_words_side_by_side_are_one_change():
    shown = marked("a  good old film", "a bad new film", [Change(3, 7, 2, 5), Change(8, 11, 6, 9)])
    assert shown == "a <del>good old</del> <ins>bad new</ins> film"


def test_what_is_far_from_a_change_is_left_out():
    words = [f"w{n}" for n in range(100)]
    new = [*words[:50], "other", *words[51:]]
    shown = compared(" ".join(words), " ".join(new))
    assert shown == "… w44 w45 w46 w47 w48 w49 <del>w50</del> <ins>other</ins> w51 w52 w53 w54 w55 w56 …"


def test_texts_are_escaped():
    shown = compared("a <b>good</b> & film \x00", 'a <b>poor</b> & "film" \x00')
    assert re.sub("</?(ins|del)>", "", shown).count("<") == 0
    assert "&lt;b&gt;" in shown
    assert "\x00" not in shown


def test_a_million_characters_are_fast():
    assert len(compared("x" * 1_000_000, "y" * 1_000_000 + " z")) < 2_000
    assert len(compared("x " * 500_000, "y " + "x " * 500_000)) < 2_000
