"""Changed words are marked, and nothing else is."""

import re

import pytest

from pipeline.report.marking import marked


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
    assert marked(old, new) == shown


def test_words_that_are_known_to_be_replaced():
    shown = marked("a a b", "a c b", ["a"], ["c"])
    assert shown == "a <del>a</del> <ins>c</ins> b"


def test_what_is_far_from_a_change_is_left_out():
    words = [f"w{n}" for n in range(100)]
    new = [*words[:50], "other", *words[51:]]
    shown = marked(" ".join(words), " ".join(new))
    assert shown == "… w44 w45 w46 w47 w48 w49 <del>w50</del> <ins>other</ins> w51 w52 w53 w54 w55 w56 …"


def test_texts_are_no_markup():
    shown = marked("a <b>good</b> & film \x00", 'a <b>poor</b> & "film" \x00')
    assert re.sub("</?(ins|del)>", "", shown).count("<") == 0
    assert "&lt;b&gt;" in shown
    assert "\x00" not in shown


def test_a_million_characters_are_soon_done():
    assert len(marked("x" * 1_000_000, "y" * 1_000_000 + " z")) < 2_000
    assert len(marked("x " * 500_000, "y " + "x " * 500_000)) < 2_000
