"""Where the words stand that differ."""

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.augment.originals import Original, Word
from pipeline.inspect import changed_words
from pipeline.inspect.changed_words import changed_spans


def words_at(old, new, *words):
    spans = changed_spans(old, new, *words)
    return [[text[start:end] for start, end in of] for text, of in zip((old, new), spans, strict=True)]


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
    original = Original("t", (text,), None, [], [], places)
    changed = sorted(data.draw(st.sets(st.integers(0, len(words) - 1), min_size=1)))
    new = [
        data.draw(st.sampled_from([other for other in ("a", "is", ",", "it") if other != words[n]])) for n in changed
    ]
    (written,) = original.replaced(changed, new)
    old = [words[n] for n in changed]
    assert words_at(text, written, old, new) == [old, new]


def test_a_word_that_stands_there_twice_is_marked_where_it_changed():
    assert changed_spans("a man , a plan", "a man , the plan", ["a"], ["the"]) == ([(8, 9)], [(8, 11)])


def test_without_words_the_texts_are_compared():
    assert words_at("it was so good .", "it was good !", [], []) == [["so", "."], ["!"]]
    assert words_at("same", "same", [], []) == [[], []]


def test_words_that_do_not_lead_from_one_text_to_the_other_are_not_believed():
    assert words_at("a good film", "a dull play", ["good"], ["dull"]) == [["good", "film"], ["dull", "play"]]


def test_of_many_ways_the_first_is_taken():
    assert changed_spans("a a a", "a a a", ["a", "a"], ["a", "a"]) == ([(0, 1), (2, 3)], [(0, 1), (2, 3)])
    assert changed_spans("a a a", "a a b", ["a", "a"], ["a", "b"]) == ([(0, 1), (4, 5)], [(0, 1), (4, 5)])
    # The first way leads nowhere: the first word is not the one before the second.
    assert changed_spans("!!!!", "!!!.!", ["!", "!"], ["!!", "."]) == ([(0, 1), (2, 3)], [(0, 2), (3, 4)])


def test_one_word_many_times_is_marked_where_it_changed():
    draw = random.Random(1)
    words = ["very"] * 5000
    for place in (places := sorted(draw.sample(range(5000), 300))):
        words[place] = draw.choice(["so", "ver", "veryvery"])
    now = [words[place] for place in places]
    start = time.process_time()
    old, new = changed_spans("very " * 5000, " ".join(words) + " ", ["very"] * 300, now)
    assert time.process_time() - start < 1
    assert [first for first, _ in old] == [5 * place for place in places]
    assert [" ".join(words)[first:last] for first, last in new] == now


@pytest.mark.parametrize("end", [" other", " very"])
@pytest.mark.parametrize("now", ["very", "ver", "veryvery"])
def test_no_text_takes_long(end, now):
    words = ["very"] * 5000
    start = time.process_time()
    changed_spans(" ".join(words), " ".join([*words[:2000], now, *words[2001:]]) + end, ["very"] * 300, [now] * 300)
    assert time.process_time() - start < 1


def test_a_way_that_is_not_found_soon_is_not_looked_for(monkeypatch):
    monkeypatch.setattr(changed_words, "LOOKS", 3)
    assert words_at("b a b a b", "b a b the b", ["a"], ["the"]) == [["a"], ["the"]]
    assert words_at("a a a a a", "a a a a the", ["a"], ["the"]) == [["a"], ["the"]]
