"""Which texts are the same after normalisation, and which rows are dropped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.leaks import FRAGMENT, as_read, empty, leaked, mirrored, normalise

words = st.lists(st.text("abcdefgäßñжक", min_size=1, max_size=6), min_size=1, max_size=6)
breaks = st.text(" \t\n.,;:!?'\"()-–—…«»*_/\u2028\u200b", min_size=0, max_size=4)


@given(words, st.data())
def test_case_spacing_and_punctuation_do_not_count(words, data):
    plain = normalise(" ".join(words))
    dressed = data.draw(breaks) + "".join(
        (word.upper() if data.draw(st.booleans()) else word.title()) + data.draw(breaks) for word in words
    )
    assert normalise(dressed) == plain


@given(st.text())
def test_every_text_has_a_form_unless_it_is_blank(text):
    assert bool(normalise(text)) == bool(text.strip())


@given(st.text(st.characters(codec="ascii")).filter(lambda text: any(map(str.isalnum, text))))
def test_the_form_of_plain_text_is_the_same_within_other_text(text):
    assert normalise(text + "ж") == normalise(text) + "ж"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("It is n't bad !", "it isn't bad"),
        ("ＦＵＬＬ ｗｉｄｔｈ", "full width"),
        ("Straße", "STRASSE"),
        ("cafe\u0301", "Café"),
        ("ﬁne", "fine"),
        ("well-made", "well made"),
        ("in 1 000, 2 000", "In 1,000 & 2.000"),
    ],
)
def test_the_same(one, other):
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("scores 2.5", "scores 25"), ("good", "goods"), ("कि", "की"), ("resume", "résumé"), ("🙂", "🙁"), ("!", "?")],
)
def test_not_the_same(one, other):
    assert normalise(one) != normalise(other)


def test_texts_without_letters_are_compared_unchanged():
    assert [normalise(text) for text in ("🙂", "👍", " 🙂\n", "...", "…?")] == ["🙂", "👍", "🙂", "...", "…?"]


def test_empty_is_nothing_to_see_on_either_side():
    rows = [("",), (" \t\n",), ("\u200b\ufeff",), (".",), ("🙂",), ("a",)]
    assert empty(rows).tolist() == [True, True, True, False, False, False]
    assert empty([("a", "b"), ("a", " "), ("", "b")]).tolist() == [False, True, True]


def test_either_side_leaks():
    rows = [("a", "x"), ("y", "b"), ("x", "y"), ("c", "a")]
    assert leaked(rows, [("a", "b")]).tolist() == [True, True, False, True]
    assert leaked([("a",), ("b",)], [("b",)]).tolist() == [False, True]
    assert leaked([("a",)], []).tolist() == [False]
    assert leaked([], [("a",)]).tolist() == []


def test_a_fragment_leaks_if_it_is_long_enough():
    held = [("thefilmisagoodbuttooslowstoryofacat",), ("x", "itsendingisaverypoorjoke")]
    long, short = "isagoodbuttooslowsto", "isagoodbuttooslowst"
    assert (len(long), len(short)) == (FRAGMENT, FRAGMENT - 1)
    rows = [(long,), (short,), ("other", long), (long[:-1] + "x",), ("storyofacatxitsendingisavery",)]
    assert leaked(rows, held).tolist() == [True, False, True, False, False]


@given(st.lists(st.text("ab", min_size=1, max_size=60), min_size=1, max_size=5), st.text("ab", min_size=1, max_size=40))
def test_fragments_are_those_that_a_search_of_every_text_finds(held, side):
    expected = any(side == text or (len(side) >= FRAGMENT and side in text) for text in held)
    assert leaked([(side,)], [(text,) for text in held]).tolist() == [expected]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("I write C#", "I write C++"), ("I write C", "I write C#"), ("so :)", "so :("), ("so ;-D", "so :-/"),
        ("good \U0001f642", "good \U0001f641"), ("5 % more", "5 $ more"), ("it was -5", "it was 5"), ("a < b", "a > b"),
        ("1 + 2", "1 = 2"), (":)", ":("),
    ],
)  # fmt: skip
def test_texts_that_read_differently_are_no_duplicates(one, other):
    assert as_read(one, normalise(one)) != as_read(other, normalise(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("It is n't bad :)", "it isn't bad :)))"), ("I write C++ .", "i write c++"), ("Well-made!", "well made"),
        ("a #film", "A film"), ("good \U0001f642\U0001f642", "good \U0001f642"), ("pages 3-5", "pages 3 – 5"),
    ],
)  # fmt: skip
def test_texts_that_read_the_same(one, other):
    assert as_read(one, normalise(one)) == as_read(other, normalise(other))


@given(words, breaks)
def test_without_signs_that_matter_texts_are_compared_as_for_leaks(words, marks):
    text = (marks.translate(dict.fromkeys(map(ord, "-():;"))) or " ").join(words)
    assert as_read(text, normalise(text)) == normalise(text)


def test_a_side_of_many_held_out_pairs_gives_none_away():
    held = [(f"a long review with the number {row}", "food") for row in range(3)]
    held += [(f"premise {row}", "one hypothesis of twenty characters") for row in range(4)]
    rows = [("new", "food"), ("food", held[0][0]), ("new", held[1][0][:FRAGMENT]), ("new", held[-1][1])]
    assert leaked(rows, held).tolist() == [False, True, True, True]
    often = [(f"premise {row}", held[-1][1]) for row in range(10)]
    assert leaked(rows[-1:], often).tolist() == [False]
    assert leaked([("food", "price")], [("price", "food")] * 3).tolist() == [True]


def test_mirrored_pairs_need_labels_that_agree():
    rows = [("a", "b"), ("b", "a"), ("c", "c"), ("c", "c"), ("d", "e")]
    assert mirrored(rows, ["x", "x", "x", "y", "x"], None).tolist() == [False, True, False, False, False]
    assert not mirrored(rows, ["x", "y", "x", "y", "x"], None).any()
    assert mirrored(rows, ["1", "1.2", "0", "0", "5"], 5.0).tolist() == [False, True, False, False, False]
    assert not mirrored(rows, ["1", "3", "0", "0", "5"], 5.0).any()
