"""The evaluation on the test set, from model folders to JSON and CSV."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef, r2_score
from transformers import BertForSequenceClassification

from pipeline.data.texts import Texts, read_texts, write_texts
from pipeline.errors import InputError
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.predicting import predict
from pipeline.models.loading import load_classifier
from pipeline.models.saving import save_model
from pipeline.params.models import Fit
from pipeline.training.finetune import fine_tune


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
        assert metrics["mcc"] == round(matthews_corrcoef(test.labels, logits.argmax(1)), 4)
        assert metrics["accuracy_low"] <= metrics["accuracy"] <= metrics["accuracy_high"]
        assert metrics["bytes"] == (folder / "model.safetensors").stat().st_size
        assert metrics["sentences_per_second"] > 0
    assert measured["student"]["parameters"] < measured["teacher"]["parameters"]
    assert f"student {measured['student']['accuracy']}" in summary


def test_regression(run, saved, tmp_path):
    rng = np.random.default_rng(0)
    texts = [" ".join(["good"] * count) for count in rng.integers(1, 12, size=40)]
    labels = rng.random(40).astype(np.float32)
    for name, numbers in (("test", labels), ("validation", labels), ("train", labels + 1)):
        write_texts(
            tmp_path / f"{name}.parquet", Texts([f"t{i}" for i in range(40)], texts, None, numbers, []), "target"
        )
    model = saved(BertForSequenceClassification, num_labels=1, id2label={0: "LABEL_0"}, label2id={"LABEL_0": 0})
    _, measured, predictions = run(tmp_path, {"student": model}, task="regression")
    assert measured["student"]["pearson_low"] < measured["student"]["pearson"] < measured["student"]["pearson_high"]
    np.testing.assert_allclose(predictions["actual"], labels, atol=1e-4)
    errors = predictions["student"] - labels
    assert measured["student"]["mae"] == pytest.approx(errors.abs().mean(), abs=2e-4)
    assert measured["student"]["rmse"] == pytest.approx((errors**2).mean() ** 0.5, abs=2e-4)
    assert measured["student"]["validation_r2"] == measured["student"]["r2"]
    # The guess is the mean of the training labels, whatever that of the test texts is.
    guess = labels.mean() + 1
    assert measured["always_mean"] == pytest.approx(
        {
            "mean": guess,
            "r2": r2_score(labels, np.full(40, guess)),
            "mae": np.abs(labels - guess).mean(),
            "rmse": np.sqrt(np.mean((labels - guess) ** 2)),
        },
        abs=1e-4,
    )
    assert measured["student"]["pearson"] == pytest.approx(predictions.corr(numeric_only=True).iloc[0, 1], abs=2e-3)


@pytest.fixture
def trained(tiny_classifier, tokenizer, reviews, tmp_path):
    """The classifier after it has learnt something."""
    model = load_classifier(tiny_classifier, "model")
    fit = Fit(batch_size=8, learning_rate=6e-3)
    fine_tune(model, tokenizer, [(reviews(64), 3)], reviews(20, seed=9), fit, max_length=16, seed=1, section="teacher")
    save_model(model, tokenizer, tmp_path / "trained")
    return tmp_path / "trained"


def test_a_student_that_validates_worse_than_student_ft(run, prepared, tiny_classifier, trained, tokenizer, caplog):
    validation = read_texts(prepared / "validation.parquet")
    worse, better = tiny_classifier, trained
    accuracy = {
        folder: (predict(load_classifier(folder, "m"), tokenizer, validation, 16).argmax(1) == validation.labels).mean()
        for folder in (worse, better)
    }
    assert accuracy[worse] < accuracy[better]
    summary, measured, _ = run(prepared, {"student": worse, "student_ft": better})
    assert measured["student"]["validation_accuracy"] == accuracy[worse]
    assert measured["student_ft"]["validation_accuracy"] == accuracy[better]
    assert measured["student"]["worse_than_student_ft"] is True
    assert summary.endswith("; the student validates worse than Student-FT")
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.message.startswith(f"models/student: validation accuracy {accuracy[worse]:.4f}, Student-FT ")
    assert f"on {len(validation)} texts; try more augment.samples.target, or texts without labels" in record.message
    assert "with a source teacher.domains: auto or [target]" in record.message

    caplog.clear()
    for student in (worse, better):
        summary, measured, _ = run(prepared, {"student": student, "student_ft": worse})
        assert measured["student"]["worse_than_student_ft"] is False
        assert (caplog.records, "worse" in summary) == ([], False)


def test_the_deciding_score_comes_from_the_validation_texts(run, prepared, tiny_classifier, tmp_path):
    """Three quarters of the validation texts have one label, of the test texts half."""
    folder = shutil.copytree(prepared, tmp_path / "unequal")
    texts = read_texts(prepared / "validation.parquet")
    write_texts(folder / "validation.parquet", replace(texts, labels=(np.arange(len(texts)) % 4 // 3)), "target")
    for score, metric in (("auto", "mcc"), ("accuracy", "accuracy"), ("f1", "f1")):
        summary, measured, _ = run(folder, {"teacher": tiny_classifier}, score=score)
        assert summary.startswith(f"{metric} on 30 test texts: teacher {measured['teacher'][metric]}")
        assert [name for name in measured["teacher"] if name.startswith("validation")] == [f"validation_{metric}"]


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
