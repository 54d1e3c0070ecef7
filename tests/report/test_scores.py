"""The summary cards and the score chart."""

import json

import pytest
from helpers.finished_run import serving

from pipeline.report.inputs import ServingMetrics, read_json, read_scores
from pipeline.report.scores import cards, format_number, latency_chart, score_chart


@pytest.fixture
def measured(run):
    measured, metric = read_scores(run / "metrics/evaluation.json", ("accuracy", "mcc"))
    assert metric == "accuracy"
    return measured


def test_numbers():
    assert [format_number(0.12345), format_number(-0.5, 2), format_number(0.1, 1, sign=True)] == [
        "0.123",
        "−0.50",
        "+0.1",
    ]
    assert format_number(-0.0004, sign=True) == "+0.000"
    assert [format_number(1234.5, 0), format_number(None)] == ["1,234", "undefined"]


def test_as_evaluated(measured):
    found = {card.label: (card.value, card.detail) for card in cards(measured, None, "accuracy")}
    assert found == {
        "accuracy of the student": ("0.800", "95 % interval 0.700 to 0.850"),
        "compared with the teacher": ("−0.100", "the teacher has 0.900"),
        "compared with Student-FT": ("+0.200", "Student-FT has 0.600"),
        "the teacher's size": ("0.25×", "0.0 MB instead of 0.0"),
        "the teacher's speed": ("4.00×", "60 texts per second instead of 15"),
    }


def test_as_served(measured, run):
    serving(run)
    found = {
        card.label: card
        for card in cards(measured, read_json(run / "metrics/serving.json", ServingMetrics, "export"), "accuracy")
    }
    assert found["the teacher's size"].value == "0.05×"
    speed = found["the teacher's speed"]
    assert (speed.value, speed.detail) == ("5.00×", "4.0 ms as ONNX, int8 for a text of 64 tokens instead of 20.0")


def test_what_was_left_out_is_not_what_is_served(measured, run):
    serving(run)
    served = read_json(run / "metrics/serving.json", ServingMetrics, "export")
    served.int8.left_out = "export.max_drop: ..."
    found = {card.label: card.detail for card in cards(measured, served, "accuracy")}
    assert found["the teacher's size"] == "4.0 MB instead of 40.0"
    assert ">ONNX, int8<" not in latency_chart(served)
    served.int8.left_out = None
    assert ">ONNX, int8<" in latency_chart(served)


def test_a_score_that_is_undefined(measured):
    for key in ("accuracy", "accuracy_low", "accuracy_high"):
        measured["student"][key] = None
    assert [card.label for card in cards(measured, None, "accuracy")][:2] == [
        "accuracy of the student",
        "the teacher's size",
    ]
    assert cards(measured, None, "accuracy")[0].value == "undefined"
    assert "Student-FT" in score_chart(measured, "accuracy")
    assert ">student<" not in score_chart(measured, "accuracy")


def test_a_score_that_is_missing(run):
    file = run / "metrics/evaluation.json"
    metrics = json.loads(file.read_text())
    del metrics["student"]["accuracy_low"]
    file.write_text(json.dumps(metrics))
    with pytest.raises(Exception, match=r"\(no student\.accuracy_low\); run the evaluate stage again$"):
        read_scores(file, ("accuracy",))


def test_the_score_that_decided_is_the_one_that_was_validated(run):
    file = run / "metrics/evaluation.json"
    metrics = json.loads(file.read_text())
    for numbers in metrics.values():
        numbers["validation_mcc"] = numbers.pop("validation_accuracy")
    file.write_text(json.dumps(metrics))
    assert read_scores(file, ("accuracy", "f1", "mcc"))[1] == "mcc"
    del metrics["student"]["validation_mcc"]
    file.write_text(json.dumps(metrics))
    with pytest.raises(Exception, match=r"\(no student\.validation_accuracy\); run the evaluate stage again$"):
        read_scores(file, ("accuracy", "f1", "mcc"))
