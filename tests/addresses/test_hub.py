"""What the hub answers, asked once, and how long a request to it may take."""

import time

import pytest
from huggingface_hub import HfApi, get_session

from pipeline.addresses import hub as hub_module
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


def test_a_short_rate_limit_is_waited_for(hub, monkeypatch):
    slept = []
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", slept.append)
    hub.publish("someone/one", {"config.json": b"{}"})
    hub.fail("/tree/", status=429, headers={"Retry-After": "7"}, times=1)
    with hub_requests():
        assert [file.path for file in HfApi().list_repo_tree("someone/one")] == ["config.json"]
    assert slept == [8]


def test_other_requests_are_as_before(hub):
    before = get_session().event_hooks
    with pytest.raises(RuntimeError), hub_requests():
        assert get_session().event_hooks != before
        raise RuntimeError
    assert get_session().event_hooks == before


def test_a_given_time_is_kept():
    class Request:
        extensions = {"timeout": {"connect": 100.0, "read": None}}  # noqa: RUF012

    hub_module._limit_time(Request)
    limit = hub_module.TIMEOUT
    assert Request.extensions["timeout"] == {"connect": 100.0, "read": limit, "write": limit, "pool": limit}


def test_errors_that_are_not_the_hub_s():
    assert explain(ValueError("of\nthe file"), "model", "x") == Answer(
        refusal="cannot be read (ValueError: of the file)"
    )
