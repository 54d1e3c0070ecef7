"""Predictions for streams of texts."""

import itertools
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.serving.predict import predict_rows, read_lines
from pipeline.serving.runtime import open_folder
from pipeline.serving.torch_model import ServedModel


@pytest.fixture
def served(tiny_classifier):
    return open_folder(tiny_classifier, "--model")


def test_rows_keep_their_order_and_values(served, reviews):
    rows = [{"text": text, "n": n} for n, text in enumerate(reviews(23).texts)]
    predicted = list(predict_rows(served, rows, chunk=5))
    assert [row["n"] for row in predicted] == list(range(23))
    logits = served.outputs([row["text"] for row in rows], None).astype(float)
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert [row["predicted"] for row in predicted] == [served.names[best] for best in probs.argmax(1)]
    np.testing.assert_allclose([row["probability"] for row in predicted], probs.max(1), atol=1e-4)


def test_only_one_chunk_is_read_ahead(served):
    read = itertools.count()
    endless = ({"text": "a film", "n": next(read)} for _ in itertools.count())
    first = list(itertools.islice(predict_rows(served, endless, chunk=4), 6))
    assert len(first) == 6
    assert next(read) == 8


def test_a_number_is_a_value(tokenizer):
    def lengths(batch):
        return batch["attention_mask"].sum(1, keepdim=True).numpy() + 0.123456

    predicted = predict_rows(ServedModel(lengths, tokenizer, [], 16), [{"text": "the film"}, {"text": "a"}])
    assert list(predicted) == [{"text": "the film", "predicted": 4.1235}, {"text": "a", "predicted": 3.1235}]


def test_pairs_and_single_texts_are_not_mixed(served):
    rows = [{"text": "a", "text_pair": "film"}, {"text": "b"}]
    with pytest.raises(InputError, match="row 2: got a single text; accepted: pairs, as the model or"):
        list(predict_rows(served, rows))


@pytest.mark.parametrize("pairs", [None, False])
def test_an_empty_column_of_second_texts_makes_no_pairs(served, pairs):
    rows = [{"text": "a", "text_pair": ""}, {"text": "b", "text_pair": None}, {"text": "film"}]
    model = replace(served, pairs=pairs)
    expected = [row["predicted"] for row in predict_rows(model, [{"text": row["text"]} for row in rows])]
    assert [row["predicted"] for row in predict_rows(model, rows)] == expected
    filled = [{"text": "a", "text_pair": "film"}, {"text": "b", "text_pair": ""}]
    answers = list(predict_rows(served, filled))
    assert [row["probability"] for row in predict_rows(served, filled[::-1])] == [
        row["probability"] for row in reversed(answers)
    ]


def test_kinds_are_not_mixed_across_chunks_nor_unlike_the_models(served):
    rows = [{"text": "a"}] * 4 + [{"text": "a", "text_pair": "b"}]
    with pytest.raises(InputError, match="row 5: got a pair; accepted: single texts, as the model or"):
        list(predict_rows(served, rows, chunk=2))
    with pytest.raises(InputError, match="row 1: got a single text; accepted: pairs, as the model or"):
        list(predict_rows(replace(served, pairs=True), rows))


def test_lines_are_texts_and_line_ends_are_not():
    assert list(read_lines([b"\xef\xbb\xbfone\r\n", b"\n", "zwei ü".encode()], "x", objects=False)) == [
        {"text": "one"},
        {"text": ""},
        {"text": "zwei ü"},
    ]


def test_null_is_an_empty_text_as_in_other_tables():
    lines = [b'{"text": null, "text_pair": "a"}', b'{"text": "a", "text_pair": null}']
    assert list(read_lines(lines, "x", objects=True)) == [
        {"text": "", "text_pair": "a"},
        {"text": "a", "text_pair": ""},
    ]


def test_a_number_is_a_text_as_in_other_tables():
    line = b'{"text": 5, "text_pair": 2.0, "stars": 3}'
    assert list(read_lines([line], "x", objects=True)) == [{"text": "5", "text_pair": "2", "stars": 3}]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"\xff", "x: line 2 is not UTF-8"),
        (b"{", "x: line 2 is not a JSON object"),
        (b"[" * 100_000, "x: line 2 is not a JSON object"),
        (b'["text"]', "x: line 2 has no text"),
        (b'{"texts": "a"}', "x: line 2 has no text"),
        (b'{"text": "a", "text_pair": []}', "x: line 2: text_pair is not a text"),
        (b'{"text": "\\ud800"}', "x: line 2: text is not valid UTF-8 text"),
    ],
)
def test_a_bad_line_is_named(line, message):
    rows = read_lines([b'{"text": "good"}', line], "x", objects=True)
    assert next(rows) == {"text": "good"}
    with pytest.raises(InputError, match=message):
        next(rows)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"id2label": {"0": "a", "7": "b"}}, "id2label of its config.json has the numbers 0, 7; accepted: 0, 1, 2"),
        ({"id2label": {"1": "a", "2": "b"}}, "id2label of its config.json has the numbers 1, 2"),
    ],
)
def test_classes_are_numbered_as_outputs_are(tiny_classifier, tmp_path, config, message):
    folder = tmp_path / "model"
    shutil.copytree(tiny_classifier, folder)
    original = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(original | config))
    with pytest.raises(InputError, match=message):
        open_folder(folder, "--model")
