"""Sentences of the source: whose they are, which are dropped, and a draw that does not depend on the order."""

import numpy as np
import pytest

from pipeline.data.source_sentences import draw_sentences
from pipeline.data.texts import Texts
from pipeline.errors import InputError


def source(texts, labels):
    ids = [f"source-{row:06d}" for row in range(1, len(texts) + 1)]
    return Texts(ids, texts, None, np.asarray(labels, dtype=np.int64), ["no", "yes"])


@pytest.fixture
def many():
    """Forty texts of five sentences, every fourth of them a yes."""
    texts = [" ".join(f"It is sentence {row} of {part}." for part in range(5)) for row in range(40)]
    return source(texts, [int(row % 4 == 0) for row in range(40)])


def test_each_has_its_text_s_label_and_a_number_in_it(many):
    drawn = draw_sentences(many, [], 200, seed=1)
    assert (drawn.read, drawn.unused, drawn.dropped) == (200, 0, {"leaked": 0, "duplicate": 0})
    texts = drawn.texts
    assert texts.ids[:6] == [*(f"source-000001.{number:02d}" for number in range(1, 6)), "source-000002.01"]
    for row, (id_, text) in enumerate(zip(texts.ids, texts.texts, strict=True)):
        original, number = id_.split(".")
        whole = many.ids.index(original)
        assert text == f"It is sentence {whole} of {int(number) - 1}."
        assert texts.label(row) == many.label(whole)


def test_short_pieces_are_counted_in_the_numbers_of_none():
    drawn = draw_sentences(source(["Good! This one has enough words. No. And so does this."], [1]), [], 2, seed=1)
    assert drawn.texts.texts == ["This one has enough words.", "And so does this."]
    assert drawn.texts.ids == ["source-000001.01", "source-000001.02"]


def test_labels_in_proportion_and_the_same_sentences_in_any_order(many):
    drawn = draw_sentences(many, [], 40, seed=1)
    assert np.bincount(drawn.texts.labels).tolist() == [30, 10]
    assert drawn.unused == 160
    order = np.random.default_rng(0).permutation(40)
    turned = Texts([many.ids[i] for i in order], [many.texts[i] for i in order], None, many.labels[order], many.names)
    assert set(draw_sentences(turned, [], 40, seed=1).texts.ids) == set(drawn.texts.ids)
    assert set(draw_sentences(many, [], 40, seed=2).texts.ids) != set(drawn.texts.ids)
    assert set(draw_sentences(many, [], 60, seed=1).texts.ids) > set(drawn.texts.ids)


def test_held_out_and_repeated_sentences_go():
    texts = ["A very dull plot. It is worth the time!", "It is worth the time... A very dull, plot? One more of these."]
    drawn = draw_sentences(source(texts, [0, 1]), [("averydullplot",)], 2, seed=1)
    assert drawn.texts.texts == ["It is worth the time!", "One more of these."]
    assert (drawn.read, drawn.dropped) == (5, {"leaked": 2, "duplicate": 1})


def test_more_than_there_are(many):
    with pytest.raises(InputError) as caught:
        draw_sentences(many, [("itissentence4of0",)], 201, seed=1)
    assert str(caught.value) == (
        "data.source.sentences: got 201; 199 of the 200 sentences of 40 texts can be used (1 leaked, 0 duplicate); "
        "accepted: at most as many"
    )


def test_numbers_are_drawn_by_their_quantiles(many):
    numbers = Texts(many.ids, many.texts, None, np.linspace(0, 1, 40, dtype=np.float32), [])
    drawn = draw_sentences(numbers, [], 20, seed=1).texts
    assert drawn.labels.dtype == np.float32
    assert (np.histogram(drawn.labels, bins=10, range=(0, 1))[0] == 2).all()
