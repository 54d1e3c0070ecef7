"""Which stretches of an original became which of its neighbour: from the row's spans, or word by word."""

import time

import pytest
from helpers.hand_made import neighbour
from hypothesis import given
from hypothesis import strategies as st

from pipeline.augment.changes import changes, compare_words
from pipeline.augment.originals import Original
from pipeline.augment.spans import Span, Word


def stretches(old, new, found):
    return [(old[c.old_start : c.old_end], new[c.new_start : c.new_end]) for c in found]


@given(
    st.lists(st.sampled_from(["a", "an", "the", ".", "'", "s", "film"]), min_size=1, max_size=9),
    st.lists(st.sampled_from(["", " ", "  "]), min_size=10, max_size=10),
    st.data(),
)
def test_they_are_those_that_the_sampler_replaced(words, blanks, data):
    text, places = blanks[0], []
    for word, blank in zip(words, blanks[1:], strict=False):
        places.append(Word(0, len(text), len(text) + len(word), 0, 0))
        text += word + blank
    original = Original("t", (text,), None, [], [], places, [])
    positions = sorted(data.draw(st.sets(st.integers(0, len(words) - 1), min_size=1)))
    new_words = [
        data.draw(st.sampled_from([other for other in ("a", "is", ",", "it") if other != words[n]])) for n in positions
    ]
    (written,), new_spans = original.replace_words(positions, new_words)
    old_spans = [Span(0, places[n].start, places[n].end) for n in positions]
    row = original.row(1, (written,)) | {
        "old_spans": [span._asdict() for span in old_spans],
        "new_spans": [span._asdict() for span in new_spans],
    }
    (found,) = changes(row)
    assert stretches(text, written, found) == list(zip([words[n] for n in positions], new_words, strict=True))


def test_a_pair_has_the_changes_of_each_text():
    row = neighbour(text="a good film", pair=("so good", "so bad"))
    row |= {"old_spans": [{"side": 1, "start": 3, "end": 7}], "new_spans": [{"side": 1, "start": 3, "end": 6}]}
    assert changes(row) == [[], [(3, 7, 3, 6)]]


@pytest.mark.parametrize("spans", [[], None])
def test_without_spans_the_texts_are_compared(spans):
    row = neighbour(pair=("so good", "so fine")) | {"old_spans": spans, "new_spans": spans}
    assert changes(row) == [[(2, 6, 2, 5)], [(3, 7, 3, 7)]]


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("it was so good .", "it was good !", [("so", ""), (".", "!")]),
        ("a b c d", "a x y d", [("b c", "x y")]),
        ("good", "very good", [("", "very")]),
        ("it's", "it is", [("'s", "is")]),
        ("same", "same", []),
        ("", "", []),
    ],
)
def test_compared_by_hand(old, new, found):
    assert stretches(old, new, compare_words(old, new)) == found


def test_no_text_takes_long():
    words = ["very"] * 5000
    start = time.process_time()
    compare_words(" ".join(words), " ".join([*words[:2000], "so", *words[2001:]]) + " other")
    assert time.process_time() - start < 1
