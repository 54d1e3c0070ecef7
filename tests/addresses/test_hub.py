"""What the hub answers, asked once, and how long a request to it may take."""

import time

import pytest
from huggingface_hub import get_session

from pipeline.addresses.hub import Answer, ask, explain, hub_requests


def test_a_name_is_asked_for_once(hub):
    commit = hub.publish("someone/one", {"config.json": b"{}", "onnx/model.onnx": b""})
    other = hub.publish("someone/one", {"train.csv": b""}, kind="dataset")
    model = Answer(files=frozenset({"config.json", "onnx/model.onnx"}), commit=commit)
    assert ask("model", "someone/one") == ask("model", "someone/one") == model
    assert ask("dataset", "someone/one") == Answer(files=frozenset({"train.csv"}), commit=other)
    paths = [line for line in hub.requests if "someone" in line]
    assert paths == ["GET /api/models/someone/one", "GET /api/datasets/someone/one"]


def test_a_hub_out_of_reach_is_asked_once(hub):
    hub.stop()
    started = time.monotonic()
    answers = [ask(kind, "someone/one") for kind in ("model", "dataset", "model")]
    assert time.monotonic() - started < 5
    assert {answer.outage for answer in answers} == {"the hub cannot be reached ([Errno 111] Connection refused)"}
    assert not any(answer.found for answer in answers)
    hub.start()
    # Whatever happens later.
    assert ask("model", "someone/one") == answers[0]


def test_other_requests_are_as_before(hub):
    before = get_session().send
    with pytest.raises(RuntimeError), hub_requests(), hub_requests(patient=False):
        assert get_session().send != before
        raise RuntimeError
    assert get_session().send == before


def test_errors_that_are_not_the_hub_s():
    assert explain(ValueError("of\nthe file"), "model", "x") == Answer(
        refusal="cannot be read (ValueError: of the file)"
    )
