"""Every method gives rows of the same columns; TinyBERT draws evenly from the likeliest words."""

import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from pipeline.augment.methods import eda, rules
from pipeline.augment.methods.interface import MethodInputs, build
from pipeline.augment.originals import encode_rows
from pipeline.augment.words import uniform_over_top
from pipeline.data.texts import Texts
from pipeline.params.methods import METHODS
from pipeline.storage.columns import augmented_schema


@pytest.fixture
def texts(reviews):
    return reviews(40, 3)


@pytest.fixture
def sample(tiny_masked_lm, tokenizer, wordnet, make_params, monkeypatch, texts):
    for module in (eda, rules):
        monkeypatch.setattr(module, "load_wordnet", lambda: wordnet)

    def run(name, samples=5, offset=0, texts=texts, max_length=16, **augment):
        params = make_params(augment={"method": name, **augment}, max_length=max_length)
        draw = build(MethodInputs(params, tiny_masked_lm, tokenizer, texts))
        return draw(encode_rows(texts, range(len(texts)), tokenizer, params), samples, offset=offset)

    return run


@pytest.mark.parametrize("name", METHODS)
def test_rows_have_all_columns_and_are_distinct(sample, texts, name):
    rows, counts = sample(name)
    assert set(counts) == {"not_distinct", "too_short"}
    assert {key for row in rows for key in row} == set(augmented_schema("classification").names) - {"domain"}
    assert len(rows) == 5 * len(texts) - 5 * counts["too_short"]
    distinct = {(row["original_id"], row["text"]) for row in rows}
    assert len(distinct) == len(rows) - counts["not_distinct"]
    assert sum(row["text"] == row["original_text"] for row in rows) <= counts["not_distinct"]
    assert [row["id"] for row in rows[:2]] == [f"{texts.ids[0]}-001", f"{texts.ids[0]}-002"]
    assert sample(name)[0] == rows
    later, _ = sample(name, samples=2, offset=3)
    assert later[0]["id"] == f"{texts.ids[0]}-004"
    if METHODS[name].uses_generator:
        assert later[0]["text"] == rows[3]["text"]


@pytest.mark.parametrize("name", METHODS)
def test_words_and_spans_are_known_of_a_model_and_not_of_rules(sample, name):
    for row in sample(name)[0]:
        known = row["distance"] if METHODS[name].uses_generator else 0
        assert {len(row[column]) for column in ("old_words", "new_words", "old_spans", "new_spans")} == {known}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("side", ["first", "second"])
def test_a_pair_changes_on_its_side(sample, texts, name, side):
    pairs = Texts(texts.ids, texts.texts, texts.texts[::-1], texts.labels, texts.names)
    rows, _ = sample(name, texts=pairs, side=side)
    kept, other = ("text_pair", "text") if side == "first" else ("text", "text_pair")
    assert all(row[kept] == row[f"original_{kept}"] for row in rows)
    assert np.mean([row[other] != row[f"original_{other}"] for row in rows]) > 0.9


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.uses_generator])
def test_shared_words_of_a_pair_change_alike(sample, texts, name):
    pairs = Texts(texts.ids, texts.texts, [f"this {text}" for text in texts.texts], texts.labels, texts.names)
    rows, _ = sample(name, texts=pairs, shared="alike")
    assert len(rows) > 100
    for row in rows:
        assert row["text_pair"].split()[1:] == row["text"].split()
    kept, _ = sample(name, texts=pairs, shared="kept", samples=1)
    assert {tuple(row["old_words"]) for row in kept} == {("this",)}
    assert {row["text"] == row["original_text"] for row in kept} == {True}


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("name", METHODS)
def test_marks_stay_in_every_neighbour(sample, texts, name, paired):
    """Each whole, as often as it was, in the same order; and words do change beside them."""
    marked = [f"[N] a <i>film</i> COL a VAL {text} @a [SEP]" for text in texts.texts]
    keep = r"</?i>|\[[A-Z]+\]|COL .+? VAL|@\w+"
    wanted = ["[N]", "<i>", "</i>", "COL a VAL", "@a", "[SEP]"]
    given = Texts(texts.ids, marked, marked[::-1] if paired else None, texts.labels, texts.names)
    rows, counts = sample(name, samples=8, texts=given, max_length=64, keep=keep)
    assert len(rows) == 8 * len(texts)
    assert counts["too_short"] == 0
    for row in rows:
        for column in ("text", "text_pair") if paired else ("text",):
            # The rules mask words with [MASK], which the pattern matches too.
            assert [mark for mark in re.findall(keep, row[column]) if mark != "[MASK]"] == wanted
    assert np.mean([row["text"] != row["original_text"] for row in rows]) > 0.8
    assert np.mean(["film" not in row["text"] for row in rows]) > (0.05 if METHODS[name].uses_generator else -1)


def test_tinybert_changes_four_words_in_ten(sample):
    rows, _ = sample("tinybert", samples=20)
    # A text of m words changes in 0.4 m, a little more since at least one does.
    expected = [0.4 * row["length"] / (1 - 0.6 ** row["length"]) for row in rows]
    assert np.mean([row["distance"] for row in rows]) == pytest.approx(np.mean(expected), rel=0.05)


def test_words_are_drawn_evenly_from_the_likeliest():
    log_p = torch.tensor([[0.5, 0.1, 0.3, 0.1, 0.0], [0.0, 0.0, 1.0, 0.0, 0.0]]).log()
    even = uniform_over_top(log_p, 2).exp()
    torch.testing.assert_close(even, torch.tensor([[0.5, 0.0, 0.5, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0, 0.0]]))


def test_what_reads_neighbours_does_not_import_torch():
    code = """
import sys
import pipeline.augment.changes, pipeline.augment.selection, pipeline.augment.shards, pipeline.evaluation.prediction
import pipeline.inspect.inspect, pipeline.inspect.summary, pipeline.params.methods, pipeline.storage.columns
assert not {"torch", "transformers"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
