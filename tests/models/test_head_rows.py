"""A fine-tuned head whose classes stand in another order, or are more, than the data's."""

import json
import logging

import pytest
import torch
from helpers.families import tiny_family_config
from transformers import AutoModelForSequenceClassification, BertForSequenceClassification, BertModel

from pipeline.errors import InputError
from pipeline.models.loading import load_classifier, quiet

LABELS = ["negative", "neutral", "positive"]
INPUTS = {"input_ids": torch.tensor([[2, 7, 8, 9, 3], [2, 11, 12, 13, 3]]), "attention_mask": torch.ones(2, 5).long()}


def named(names):
    return {
        "num_labels": len(names),
        "id2label": dict(enumerate(names)),
        "label2id": {name: row for row, name in enumerate(names)},
    }


def logits(model, inputs=INPUTS):
    with torch.no_grad():
        return model.eval()(**inputs).logits


@pytest.mark.parametrize(
    "names",
    [
        ["positive", "negative", "neutral"],
        ["Positive", " NEGATIVE", "neutral "],
        ["mixed", "positive", "neutral", "other", "negative"],
        ["positive", "NEUTRAL", "neutral", "negative"],
    ],
    ids=["order", "spelling", "superset", "exact name before folded"],
)
def test_rows_follow_the_names(saved, names):
    folder = saved(BertForSequenceClassification, **named(names))
    rows = {name: row for row, name in enumerate(names) if name in LABELS}
    rows = rows if len(rows) == len(LABELS) else {name.strip().lower(): row for row, name in enumerate(names)}
    model = load_classifier(folder, "teacher.model", LABELS)
    before = logits(BertForSequenceClassification.from_pretrained(folder))
    torch.testing.assert_close(logits(model), before[:, [rows[label] for label in LABELS]])
    assert model.config.id2label == dict(enumerate(LABELS))
    assert model.config.num_labels == 3
    # The loss of transformers counts the new rows.
    assert model(**INPUTS, labels=torch.tensor([0, 2])).loss.isfinite()


@pytest.mark.parametrize(
    "family", ["albert", "distilbert", "electra", "mpnet", "roberta", "xlm", "funnel", "modernbert"]
)
def test_the_last_layer_of_any_head_is_found(family, tokenizer, tmp_path):
    config = tiny_family_config(family, tokenizer)
    for name, value in named(["b", "a", "c"]).items():
        setattr(config, name, value)
    with quiet():
        whole = AutoModelForSequenceClassification.from_config(config)
        whole.save_pretrained(tmp_path)
    model = load_classifier(tmp_path, "x", ["a", "b"])
    torch.testing.assert_close(logits(model), logits(whole)[:, [1, 0]])


@pytest.mark.parametrize("names", [["negative", "neutral", "positive"], [0, 1, 2]], ids=["names", "numbers"])
def test_rows_are_numbered_and_not_in_the_order_of_the_file(saved, names):
    folder = saved(BertForSequenceClassification, **named(["a", "b", "c"]))
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {str(row): names[2 - row] for row in (2, 0, 1)}
    config["label2id"] = {str(name): 2 - row for row, name in enumerate(names)}
    before = logits(BertForSequenceClassification.from_pretrained(folder))
    (folder / "config.json").write_text(json.dumps(config))
    model = load_classifier(folder, "x", [str(name) for name in names])
    assert torch.equal(logits(model), before[:, [2, 1, 0]])


def test_the_same_names_in_the_same_order_load_as_ever(saved):
    folder = saved(BertForSequenceClassification, **named(LABELS))
    before = logits(BertForSequenceClassification.from_pretrained(folder))
    assert torch.equal(logits(load_classifier(folder, "x", LABELS)), before)


def test_names_that_say_nothing_are_told(saved, caplog):
    folder = saved(BertForSequenceClassification, **named(["LABEL_0", "LABEL_1"]))
    with caplog.at_level(logging.WARNING):
        model = load_classifier(folder, "teacher.model", ["bad", "good"])
    assert torch.equal(logits(model), logits(BertForSequenceClassification.from_pretrained(folder)))
    assert f"teacher.model: the classes of {folder} are LABEL_0, LABEL_1; its head's rows are taken" in caplog.text


def test_an_encoder_is_told_nothing(saved, caplog):
    folder = saved(BertModel, **named(["positive", "bad"]))
    with caplog.at_level(logging.WARNING):
        model = load_classifier(folder, "x", ["negative", "positive"])
    assert (model.config.num_labels, caplog.text) == (2, "")


@pytest.mark.parametrize(
    ("names", "missing"),
    [(["positive", "bad"], "negative"), (["NEGATIVE", "Negative", "positive"], "negative")],
    ids=["one of two", "two spellings"],
)
def test_names_that_conflict_in_part_are_an_error(saved, names, missing):
    folder = saved(BertForSequenceClassification, **named(names))
    with pytest.raises(InputError, match=rf"^teacher\.model: the classes of .* several are {missing}; accepted: "):
        load_classifier(folder, "teacher.model", ["negative", "positive"])
    assert load_classifier(folder, "teacher.model", ["negative", "positive"], head=False).config.num_labels == 2
