"""The student on the labels of the unlabelled texts: they are those of the table, and all of them are learnt from."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from benchmarks.all_labels import joined, labelled, main
from pipeline.data.prepare import prepare
from pipeline.data.texts import Texts, read_texts
from pipeline.errors import InputError
from pipeline.params.file import load


@pytest.fixture
def project(tmp_path, monkeypatch, reviews, tiny_encoder, tiny_masked_lm):
    """A folder with params, a table of which some rows count as unlabelled, and the prepared texts."""
    monkeypatch.chdir(tmp_path)
    texts = reviews(120, 1)
    # Each text once, so that its row says its label.
    table = {"text": [f"{text} {row}" for row, text in enumerate(texts.texts)], "label": texts.labels}
    pd.DataFrame(table).to_csv("table.csv", index=False)
    target = {"path": "table.csv", "labels": {0: "bad", 1: "good"}, "per_class": 6, "validation": 20, "test": 30}
    params = {
        "max_length": 16,
        "data": {"target": target, "unlabelled": {"path": "table.csv", "rows": 20}},
        "teacher": {"model": str(tiny_encoder), "domains": ["target"]},
        "generator": {"model": str(tiny_masked_lm)},
        "student": {"init": "encoder", "model": str(tiny_encoder), "layers": 2},
        "distill": {"epochs": 1, "batch_size": 8},
    }
    Path("params.yaml").write_text(yaml.safe_dump(params))
    prepare(load(Path("params.yaml")), out=Path("data/prepared"), metrics=Path("data.json"))
    return texts


def test_the_labels_are_those_of_the_table(project):
    found = labelled(load(Path("params.yaml")), read_texts(Path("data/prepared/unlabelled.parquet")))
    assert len(found) == 20
    rows = [int(text.rsplit(" ", 1)[1]) for text in found.texts]
    np.testing.assert_array_equal(found.labels, project.labels[rows])
    assert found.names == ["bad", "good"]


def test_the_student_is_trained_on_all_and_measured(project, capsys):
    main(layers=1, learning_rate=1e-3)
    assert capsys.readouterr().out.startswith("32 labels: 0.0M parameters, accuracy 0.")


def test_two_sets_of_pairs():
    one = Texts(["a"], ["b"], ["c"], np.array([0]), ["x", "y"])
    both = joined(one, Texts(["d"], ["e"], ["f"], np.array([1]), ["x", "y"]))
    assert (both.ids, both.texts, both.pairs, both.labels.tolist()) == (["a", "d"], ["b", "e"], ["c", "f"], [0, 1])
    assert joined(one, Texts([], [], None, np.zeros(0, dtype=np.int64), ["x", "y"])).pairs == ["c"]


def test_texts_that_have_no_label(project):
    params, texts = load(Path("params.yaml")), read_texts(Path("data/prepared/unlabelled.parquet"))
    table = pd.read_csv("table.csv", dtype=str)
    row = int(texts.texts[0].rsplit(" ", 1)[1])
    table.loc[row, "label"] = None
    table.to_csv("table.csv", index=False)
    with pytest.raises(
        InputError, match=r"^table\.csv, column 'label': got '' for a text that is used; accepted: bad, g"
    ):
        labelled(params, texts)
    without = params.model_copy(update={"data": params.data.model_copy(update={"unlabelled": None})})
    with pytest.raises(
        InputError, match=r"^data\.unlabelled: null, or labels are numbers; accepted: a table, in a task with classes$"
    ):
        labelled(without, texts)
