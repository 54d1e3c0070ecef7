"""The student_ft stage: the student's architecture, without anything from the fine-tuned teacher."""

import json

import pytest
import torch
import transformers
import yaml
from typer.testing import CliRunner

from pipeline.models.loading import load_classifier
from stages.student_ft import app


@pytest.fixture
def run(tiny_encoder, prepared, tmp_path):
    def run(epochs, objectives=None, **student):
        params = {
            "data": {"target": {"path": "target.csv", "rows": 8}},
            "max_length": 16,
            "teacher": {"model": str(tiny_encoder)},
            "student": {"layers": 2, **student},
            "objectives": objectives or {},
            "evaluate": {"student_ft": {"epochs": epochs, "learning_rate": 0.01, "batch_size": 8}},
        }
        file, out = tmp_path / "params.yaml", tmp_path / "student_ft"
        file.write_text(yaml.safe_dump(params))
        arguments = ["--params", file, "--prepared", prepared, "--out", out]
        return CliRunner().invoke(app, [str(part) for part in arguments]), out

    return run


@pytest.mark.parametrize(
    "student", [{"init": "teacher"}, {"init": "encoder"}, {"init": "fresh", "hidden": 24, "heads": 4}]
)
def test_it_has_the_students_shape_and_opens(run, student):
    result, out = run(1, **student)
    assert result.exit_code == 0, result.output
    config = json.loads((out / "config.json").read_text())
    assert (config["num_hidden_layers"], config["hidden_size"]) == (2, student.get("hidden", 32))
    prediction = transformers.pipeline("text-classification", str(out), device="cpu")("a good film")
    assert prediction[0]["label"] in ("negative", "positive")


def test_a_bilstm_is_fine_tuned_too(run):
    result, out = run(25, init="bilstm", objectives={"attention": 0, "hidden": 0})
    assert result.exit_code == 0, result.output
    model = load_classifier(out, "student_ft").eval()
    assert model.config.model_type == "l2a_bilstm"
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    texts = ["the film is good , great and very warm .", "the film is bad , dull and very slow ."]
    with torch.no_grad():
        predicted = model(**tokenizer(texts, return_tensors="pt", padding=True)).logits.argmax(1)
    assert [model.config.id2label[int(label)] for label in predicted] == ["positive", "negative"]


def test_it_starts_from_the_encoder(run, tiny_encoder, prepared):
    result, out = run(1, init="teacher")
    assert result.exit_code == 0, result.output
    encoder = load_classifier(str(tiny_encoder), "teacher.model", []).bert.embeddings.word_embeddings.weight
    trained = load_classifier(str(out), "student_ft").bert.embeddings.word_embeddings.weight
    # The embedding of a word that is in no text changes by weight decay only.
    torch.testing.assert_close(trained[4], encoder[4], rtol=0.02, atol=1e-3)


def test_more_layers_than_the_encoder_has(run):
    result, _ = run(1, layers=4)
    assert result.exit_code == 1
    assert "student.layers: got 4" in result.output
    assert result.output.count("\n") == 1
