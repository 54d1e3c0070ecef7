"""How long requests to the hub take: short faults are outlasted, the waits are bounded in all and said."""

import itertools
from types import SimpleNamespace

import pytest
from huggingface_hub import HfApi, get_session, hf_hub_download

from pipeline.addresses import waiting
from pipeline.addresses.hub import hub_requests
from pipeline.addresses.waiting import BusyError
from pipeline.errors import InputError


@pytest.fixture(autouse=True)
def slept(monkeypatch):
    """The seconds of each wait; none is waited for."""
    seconds, passed = [], itertools.count(1000.0, 100.0)
    monkeypatch.setattr(waiting, "time", SimpleNamespace(sleep=seconds.append, monotonic=lambda: next(passed)))
    return seconds


def files(patient=True):
    with hub_requests(patient=patient):
        return [file.path for file in HfApi().list_repo_tree("someone/one")]


def trees(hub):
    return len([line for line in hub.requests if "/tree/" in line])


@pytest.fixture(autouse=True)
def published(hub):
    hub.publish("someone/one", {"config.json": b"{}", "model.safetensors": bytes(range(250)) * 200})


def test_a_rate_limit_is_waited_for_as_long_as_the_hub_asks(hub, slept, caplog):
    hub.fail("/tree/", status=429, headers={"Retry-After": "70"}, times=2)
    assert files() == ["config.json", "model.safetensors"]
    assert (slept, trees(hub)) == ([70, 70], 3)
    assert caplog.messages == [
        "hub: 429 Too Many Requests; trying again in 70 s, for 300 s at most (L2A_HUB_WAIT)",
        "hub: 429 Too Many Requests; trying again in 70 s, for 230 s at most (L2A_HUB_WAIT)",
    ]


@pytest.mark.parametrize("headers", [{"Retry-After": "301"}, {"RateLimit": '"api";r=0;t=301'}])
def test_a_wait_that_is_too_long_is_an_error_at_once(hub, slept, headers):
    hub.fail("/tree/", status=429, headers=headers)
    with pytest.raises(BusyError, match=r"^in 301 s \(429 Too Many Requests\)$"):
        files()
    assert (slept, trees(hub)) == ([], 1)


def test_the_waits_of_a_process_are_bounded_together(hub, slept, monkeypatch):
    monkeypatch.setenv("L2A_HUB_WAIT", "4")
    hub.fail("/tree/", status=503)
    for tries in ([1, 2], [1], []):
        slept.clear()
        before = trees(hub)
        with pytest.raises(BusyError, match=r"^later \(503 Service Unavailable\)$"):
            files()
        assert (slept, trees(hub)) == (tries, before + len(tries) + 1)


def test_threads_that_wait_at_the_same_time_use_it_once(hub, slept, monkeypatch):
    monkeypatch.setattr(waiting.time, "monotonic", lambda: 1000.0)
    hub.fail("/tree/", status=429, headers={"Retry-After": "200"}, times=3)
    assert files() == ["config.json", "model.safetensors"]
    assert slept == [200, 200, 200]
    assert waiting._total([(10, 40), (12, 42), (11, 13), (100, 101)]) == 33


def test_no_wait_where_none_is_wanted(hub, slept, monkeypatch):
    hub.fail("/tree/", status=503)
    with pytest.raises(BusyError):
        files(patient=False)
    monkeypatch.setenv("L2A_HUB_WAIT", "0")
    with pytest.raises(BusyError):
        files()
    assert (slept, trees(hub)) == ([], 2)


@pytest.mark.parametrize("text", ["five", "-1", "nan"])
def test_a_wait_that_is_no_number_is_named(hub, monkeypatch, text):
    monkeypatch.setenv("L2A_HUB_WAIT", text)
    hub.fail("/tree/", status=503)
    with pytest.raises(InputError, match=f"^L2A_HUB_WAIT: got {text}; accepted: a number of seconds"):
        files()


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("status", [None, 503])
def test_a_download_goes_on_where_it_ended(hub, monkeypatch, tmp_path, reset, status):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)
    hub.fail("/cdn/[^ ]*$", cut_after=20_000, reset=reset)
    if status:
        hub.fail("/cdn/.*bytes=20000-", status=status, times=2)
    with hub_requests():
        path = hf_hub_download("someone/one", "model.safetensors", local_dir=tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == bytes(range(250)) * 200
    assert path
    asked = [line.partition("bytes=")[2] for line in hub.requests if "/cdn/" in line]
    assert asked == ["", *["20000-"] * (3 if status else 1)]


def test_a_given_time_is_kept(hub):
    class Request:
        extensions = {"timeout": {"connect": 100.0, "read": None}}  # noqa: RUF012

        url = SimpleNamespace(path="/api/models")

    Request.__module__ = type(get_session()).__module__
    waiting._send(lambda *_, **__: type("Response", (), {"status_code": 200, "iter_raw": None}), True, Request())
    limit = waiting.TIMEOUT
    assert Request.extensions["timeout"] == {"connect": 100.0, "read": limit, "write": limit, "pool": limit}
