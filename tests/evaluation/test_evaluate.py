"""The evaluation on the test set, from model folders to JSON and CSV."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score
from transformers import BertForSequenceClassification

from pipeline.data.texts import Texts, read_texts, write_texts
from pipeline.errors import InputError
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.predicting import predict
from pipeline.models.loading import load_classifier


@pytest.fixture
def run(make_params, tmp_path):
    def run(prepared, folders, **sections):
        paths = {"metrics": tmp_path / "metrics/evaluation.json", "plots": tmp_path / "plots/predictions.csv"}
        params = make_params(evaluate={"resamples": 200}, **sections)
        summary = evaluate(params, prepared=prepared, folders=folders, **paths)
        return summary, json.loads(paths["metrics"].read_text()), pd.read_csv(paths["plots"])

    return run


def test_each_model_is_measured_on_the_test_texts(run, prepared, saved, tiny_classifier, tokenizer):
    small = saved(BertForSequenceClassification, num_hidden_layers=1)
    summary, measured, predictions = run(prepared, {"teacher": tiny_classifier, "student": small})
    test = read_texts(prepared / "test.parquet")
    assert list(measured) == ["teacher", "student"]
    assert list(predictions) == ["id", "actual", "teacher", "student"]
    assert predictions["id"].tolist() == test.ids
    assert predictions["actual"].tolist() == [test.names[label] for label in test.labels]
    for name, folder in (("teacher", tiny_classifier), ("student", small)):
        logits = predict(load_classifier(str(folder), name), tokenizer, test, 16)
        assert predictions[name].tolist() == [test.names[label] for label in logits.argmax(1)]
        metrics = measured[name]
        assert metrics["accuracy"] == round(accuracy_score(test.labels, logits.argmax(1)), 4)
        assert metrics["f1"] == round(f1_score(test.labels, logits.argmax(1), zero_division=0.0), 4)
        assert metrics["accuracy_low"] <= metrics["accuracy"] <= metrics["accuracy_high"]
        assert metrics["bytes"] == (folder / "model.safetensors").stat().st_size
        assert metrics["sentences_per_second"] > 0
    assert measured["student"]["parameters"] < measured["teacher"]["parameters"]
    assert f"student {measured['student']['accuracy']}" in summary


def test_regression(run, saved, tmp_path):
    rng = np.random.default_rng(0)
    texts = [" ".join(["good"] * count) for count in rng.integers(1, 12, size=40)]
    labels = rng.random(40).astype(np.float32)
    write_texts(tmp_path / "test.parquet", Texts([f"t{i}" for i in range(40)], texts, None, labels, []), "target")
    model = saved(BertForSequenceClassification, num_labels=1, id2label={0: "LABEL_0"}, label2id={"LABEL_0": 0})
    _, measured, predictions = run(tmp_path, {"student": model}, task="regression")
    assert measured["student"]["pearson_low"] < measured["student"]["pearson"] < measured["student"]["pearson_high"]
    np.testing.assert_allclose(predictions["actual"], labels, atol=1e-4)
    assert measured["student"]["pearson"] == pytest.approx(predictions.corr(numeric_only=True).iloc[0, 1], abs=2e-3)


def test_a_missing_model(run, prepared, tiny_classifier, tmp_path):
    with pytest.raises(InputError, match=r"student: no such model folder: .*student"):
        run(prepared, {"teacher": tiny_classifier, "student": tmp_path / "student"})


def test_a_model_of_other_classes(run, prepared, tiny_classifier, tmp_path):
    other = shutil.copytree(tiny_classifier, tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    config |= {"id2label": {"0": "bad", "1": "good"}, "label2id": {"bad": 0, "good": 1}}
    (other / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        InputError, match="student: its classes are bad, good; the prepared texts have negative, positive"
    ):
        run(prepared, {"student": other})
