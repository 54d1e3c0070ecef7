"""Every way to augment gives rows of the same shape, and TinyBERT's draws from the likeliest words evenly."""

import numpy as np
import pytest
import torch

from pipeline.augment.augment import schema
from pipeline.augment.methods import methods
from pipeline.augment.methods.methods import method, originals_of
from pipeline.augment.words import uniform_over_top
from pipeline.data.texts import Texts
from pipeline.params.schema import Augment


@pytest.fixture
def texts(reviews):
    return reviews(40, 3)


@pytest.fixture
def drawn(tiny_masked_lm, tokenizer, wordnet, make_params, monkeypatch, texts):
    monkeypatch.setattr(methods, "load_wordnet", lambda: wordnet)

    def run(name, samples=5, behind=0, texts=texts, **augment):
        params = make_params(augment={"method": name, **augment})
        way = method(params, tiny_masked_lm, tokenizer, texts)
        return way(originals_of(texts, range(len(texts)), tokenizer, params), samples, behind)

    return run


NAMES = Augment.model_fields["method"].annotation.__args__


@pytest.mark.parametrize("name", NAMES)
def test_rows_have_all_columns_and_are_their_own(drawn, texts, name):
    rows, counts = drawn(name)
    assert set(counts) == {"not_distinct", "too_short"}
    assert {key for row in rows for key in row} == set(schema("classification").names) - {"domain"}
    assert len(rows) == 5 * len(texts) - 5 * counts["too_short"]
    distinct = {(row["original_id"], row["text"]) for row in rows}
    assert len(distinct) == len(rows) - counts["not_distinct"]
    assert sum(row["text"] == row["original_text"] for row in rows) <= counts["not_distinct"]
    assert [row["id"] for row in rows[:2]] == [f"{texts.ids[0]}-001", f"{texts.ids[0]}-002"]
    assert drawn(name)[0] == rows
    later, _ = drawn(name, samples=2, behind=3)
    assert later[0]["id"] == f"{texts.ids[0]}-004"
    if name not in ("eda", "rules"):
        assert later[0]["text"] == rows[3]["text"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("side", ["first", "second"])
def test_a_pair_changes_on_its_side(drawn, texts, name, side):
    pairs = Texts(texts.ids, texts.texts, texts.texts[::-1], texts.labels, texts.names)
    rows, _ = drawn(name, texts=pairs, side=side)
    kept, other = ("text_pair", "text") if side == "first" else ("text", "text_pair")
    assert all(row[kept] == row[f"original_{kept}"] for row in rows)
    assert np.mean([row[other] != row[f"original_{other}"] for row in rows]) > 0.9


def test_tinybert_changes_four_words_in_ten(drawn):
    rows, _ = drawn("tinybert", samples=20)
    # A text of m words changes in 0.4 m, a little more since at least one does.
    expected = [0.4 * row["length"] / (1 - 0.6 ** row["length"]) for row in rows]
    assert np.mean([row["distance"] for row in rows]) == pytest.approx(np.mean(expected), rel=0.05)


def test_words_are_drawn_evenly_from_the_likeliest():
    log_p = torch.tensor([[0.5, 0.1, 0.3, 0.1, 0.0], [0.0, 0.0, 1.0, 0.0, 0.0]]).log()
    even = uniform_over_top(log_p, 2).exp()
    torch.testing.assert_close(even, torch.tensor([[0.5, 0.0, 0.5, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0, 0.0]]))
