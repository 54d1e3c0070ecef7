"""The few numbers that come first."""

import json

import pytest
from helpers.finished_run import serving

from pipeline.report.inputs import Serving, read_json, read_scores
from pipeline.report.scores import cards, chart, number


@pytest.fixture
def measured(run):
    return read_scores(run / "metrics/evaluation.json", ("accuracy",))


def test_numbers():
    assert [number(0.12345), number(-0.5, 2), number(0.1, 1, sign=True)] == ["0.123", "−0.50", "+0.1"]
    assert number(-0.0004, sign=True) == "+0.000"
    assert [number(1234.5, 0), number(None)] == ["1,234", "undefined"]


def test_as_evaluated(measured):
    found = {card.of: (card.value, card.more) for card in cards(measured, None, "accuracy")}
    assert found == {
        "accuracy of the student": ("0.800", "95 % interval 0.700 to 0.850"),
        "against the teacher": ("−0.100", "the teacher has 0.900"),
        "against Student-FT": ("+0.200", "Student-FT has 0.600"),
        "the teacher's size": ("0.25×", "0.0 MB, not 0.0"),
        "the teacher's speed": ("4.00×", "60 texts a second, not 15"),
    }


def test_as_served(measured, run):
    serving(run)
    found = {
        card.of: card
        for card in cards(measured, read_json(run / "metrics/serving.json", Serving, "export"), "accuracy")
    }
    assert found["the teacher's size"].value == "0.05×"
    speed = found["the teacher's speed"]
    assert (speed.value, speed.more) == ("5.00×", "4.0 ms as ONNX in 8 bits for a text of 64 tokens, not 20.0")


def test_a_score_that_is_undefined(measured):
    for key in ("accuracy", "accuracy_low", "accuracy_high"):
        measured["student"][key] = None
    assert [card.of for card in cards(measured, None, "accuracy")][:2] == [
        "accuracy of the student",
        "the teacher's size",
    ]
    assert cards(measured, None, "accuracy")[0].value == "undefined"
    assert "Student-FT" in chart(measured, "accuracy")
    assert ">student<" not in chart(measured, "accuracy")


def test_a_score_that_is_missing(run):
    file = run / "metrics/evaluation.json"
    given = json.loads(file.read_text())
    del given["student"]["accuracy_low"]
    file.write_text(json.dumps(given))
    with pytest.raises(Exception, match=r"\(no student\.accuracy_low\); run the evaluate stage again$"):
        read_scores(file, ("accuracy",))
