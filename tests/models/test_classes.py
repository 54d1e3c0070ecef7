"""The classes in config.json, as transformers writes it, read without transformers."""

import json

import pytest
from transformers import BertConfig

from pipeline.models.classes import class_names, read_config


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ({"num_labels": 2}, ["LABEL_0", "LABEL_1"]),
        ({"id2label": {0: "bad", 1: "good", 2: "so-so"}}, ["bad", "good", "so-so"]),
        ({"id2label": {index: f"class {index}" for index in range(11)}}, [f"class {index}" for index in range(11)]),
        ({"num_labels": 1}, []),
    ],
    ids=["unnamed", "named", "eleven", "a number"],
)
def test_the_classes_are_those_that_transformers_reads(tmp_path, labels, classes):
    written = BertConfig(**labels)
    written.save_pretrained(tmp_path)
    read = read_config(tmp_path / "config.json")
    assert class_names(read) == class_names(BertConfig.from_pretrained(tmp_path)) == classes
    assert read.hidden_size == written.hidden_size


def test_numbers_with_gaps_are_an_error(tmp_path):
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"id2label": {"0": "bad", "2": "good"}}))
    with pytest.raises(KeyError):
        class_names(read_config(file))
