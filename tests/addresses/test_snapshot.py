"""Models of the hub: which files are fetched, of which commit, and what stays behind when the hub or the line fails."""

import errno
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.hub import HOME

from pipeline.addresses import waiting
from pipeline.addresses.resolve import resolve_model
from pipeline.errors import InputError

MODEL = {
    "config.json": b"{}",
    "tokenizer.json": b"[]",
    "vocab.txt": b"a",
    "spiece.model": b"b",
    "model.safetensors": os.urandom(50_000),
}
OTHERS = {
    "README.md": b"card",
    "SHA256SUMS": b"of all",
    "pytorch_model.bin": b"pickle",
    "tf_model.h5": b"x",
    "flax_model.msgpack": b"x",
    "model.fp16.safetensors": b"x",
    "onnx/model.onnx": b"x",
    "onnx/config.json": b"x",
    "1_Pooling/model.safetensors": b"x",
}


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Wait for nothing between requests."""
    passed = itertools.count(1000.0, 100.0)
    clock = SimpleNamespace(sleep=lambda _: None, monotonic=lambda: next(passed))
    monkeypatch.setattr("pipeline.addresses.waiting.time", clock)


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()
    }


def fetch(address, *, weights=True):
    return contents(resolve_model(address, "teacher.model", weights=weights))


def complaint(address, *, weights=True):
    with pytest.raises(InputError) as caught:
        resolve_model(address, "teacher.model", weights=weights)
    line = str(caught.value)
    assert line.startswith("teacher.model: ")
    assert "\n" not in line
    assert len(line) < 400
    assert caught.value.__cause__ is not None or "accepted: " in line
    return line.removeprefix("teacher.model: ")


def test_only_what_transformers_reads_is_fetched(hub):
    hub.publish("someone/one", {**MODEL, **OTHERS})
    assert fetch("someone/one") == MODEL
    assert not [line for line in hub.requests if any(f"/{name}" in line for name in OTHERS)]


def test_weights_are_fetched_when_they_are_needed(hub):
    hub.publish("someone/one", MODEL)
    described = {name: data for name, data in MODEL.items() if name != "model.safetensors"}
    assert fetch("someone/one", weights=False) == described
    assert fetch("someone/one") == MODEL
    # As `resolve_model` is called over and over, each file is fetched once.
    requests = list(hub.requests)
    assert resolve_model("someone/one", "generator.model") == resolve_model(
        "someone/one", "teacher.model", weights=True
    )
    assert hub.requests == requests
    assert len([line for line in requests if line.startswith("GET /someone/one/resolve")]) == len(described)


def test_weights_in_several_files(hub):
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    shards = {"model-00001-of-00002.safetensors": b"1", "model-00002-of-00002.safetensors": b"2"}
    described = {"config.json": b"{}", "model.safetensors.index.json": json.dumps(index).encode()}
    hub.publish("someone/large", {**described, **shards})
    assert fetch("someone/large", weights=False) == described
    assert fetch("someone/large") == {**described, **shards}


@pytest.mark.parametrize("name", ["model.fp16.safetensors", "adapter_model.safetensors"])
def test_weights_that_are_not_read_are_none(hub, name):
    """That is said before any work, when the config is read, and not when the weights are."""
    hub.publish("someone/other", {"config.json": b"{}", name: b"x"})
    assert complaint("someone/other", weights=False).startswith("someone/other has no model.safetensors or shards of ")


@pytest.fixture
def three(hub):
    """Three commits of one model: by a tag, by a pull request, and by the branch `main`. Returns the first."""
    first = hub.publish("someone/one", MODEL, refs=("v1.0",))
    hub.publish("someone/one", {**MODEL, "vocab.txt": b"of a pull request"}, refs=("refs/pr/3",))
    hub.publish("someone/one", {**MODEL, "vocab.txt": b"newest"})
    return first


def vocabulary(address):
    return Path(resolve_model(address, "teacher.model", weights=True), "vocab.txt").read_bytes()


def test_a_revision_is_a_branch_a_tag_or_a_commit(hub, three):
    expected = {"": b"newest", "@main": b"newest", "@v1.0": b"a", "@refs/pr/3": b"of a pull request", f"@{three}": b"a"}
    addresses = {f"someone/one{revision}": vocab for revision, vocab in expected.items()}
    assert {address: vocabulary(address) for address in addresses} == addresses
    hub.stop()
    hub.forget()
    assert {address: vocabulary(address) for address in addresses} == addresses


def test_a_branch_that_moves_on_stays_where_it_was_within_a_process(hub):
    hub.publish("someone/one", MODEL)
    folder = resolve_model("someone/one", "teacher.model")
    hub.publish("someone/one", {**MODEL, "model.safetensors": b"newer"})
    assert resolve_model("someone/one", "teacher.model", weights=True) == folder
    assert contents(folder) == MODEL
    hub.forget()
    assert fetch("someone/one")["model.safetensors"] == b"newer"


def test_the_hub_is_not_asked_for_a_commit_that_is_there(hub, three):
    address = f"someone/one@{three}"
    resolve_model(address, "teacher.model")
    hub.forget()
    # The weights are not.
    resolve_model(address, "teacher.model", weights=True)
    requests = len(hub.requests)
    hub.forget()
    resolve_model(address, "teacher.model", weights=True)
    assert len(hub.requests) == requests


def test_a_name_that_was_changed(hub):
    hub.publish("new/name", MODEL)
    hub.renamed["name"] = "new/name"
    assert fetch("name") == MODEL


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("someone/none", "someone/none is not a local folder, and the hub has no such model (401 Unauthorized); "
         "accepted: the id of one; if it is private, `hf auth login` or set HF_TOKEN"),
        ("someone/one@v9", "someone/one@v9 is no revision that the hub has; "
         "accepted: v1.0, refs/pr/3, main or the hash of a commit"),
        (f"someone/one@{'0' * 40}", f"someone/one@{'0' * 40} is no revision that the hub has; "
         "accepted: v1.0, refs/pr/3, main or the hash of a commit"),
        ("someone/pickled", "someone/pickled has no model.safetensors or shards of it; accepted: safetensors only"),
        ("someone/adapter", "someone/adapter holds an adapter of peft (adapter_config.json); "
         "accepted: a whole model, which save_pretrained writes after merge_and_unload()"),
    ],
)  # fmt: skip
def test_what_the_hub_does_not_have(hub, three, address, line):
    hub.publish("someone/pickled", {"config.json": b"{}", "pytorch_model.bin": b"x", "onnx/model.safetensors": b"x"})
    # Its weights beside a whole model's, of which transformers would read neither.
    hub.publish("someone/adapter", MODEL | {"adapter_config.json": b"{}", "adapter_model.safetensors": b"x"})
    assert complaint(address, weights=False) == line
    assert not [line for line in hub.requests if "/resolve/" in line]


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (401, "is gated (401 Unauthorized); ask for access on {page}, then `hf auth login` or set HF_TOKEN"),
        (403, "is gated (403 Forbidden); ask for access on {page}"),
    ],
)
def test_a_gated_model(hub, monkeypatch, status, line):
    hub.publish("someone/gated", MODEL)
    hub.repositories["model", "someone/gated"].refusal = status
    page = f"{os.environ['HF_ENDPOINT']}/someone/gated"
    assert complaint("someone/gated") == f"someone/gated {line.format(page=page)}"
    # With a token it opens, and no other host gets to see the token.
    monkeypatch.setenv("HF_TOKEN", hub.TOKEN)
    hub.forget()
    assert fetch("someone/gated") == MODEL
    assert hub.tokens
    assert not [address for address, _ in hub.tokens if "/cdn/" in address]


def test_a_gated_model_on_a_mirror_that_cannot_say_who_has_access(hub):
    hub.publish("someone/gated", MODEL)
    hub.repositories["model", "someone/gated"].refusal = 401
    hub.fail("auth-check", status=404)
    assert complaint("someone/gated").startswith("someone/gated is gated (401 Unauthorized); ask for access on ")


def test_a_token_that_the_hub_does_not_know(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    hub.fail("/api/", status=401, headers={"X-Error-Message": "Invalid credentials in Authorization header"})
    assert complaint("someone/one") == (
        "someone/one needs another token, because the hub does not know yours (401 Unauthorized); `hf auth login` or "
        "set HF_TOKEN"
    )


@pytest.mark.parametrize("request_", ["GET /api/models/someone/one", "tree", "HEAD", "GET .*config.json", "GET /cdn"])
@pytest.mark.parametrize("headers", [{"Retry-After": "3600"}, {"RateLimit": '"resolvers";r=0;t=3600'}])
def test_a_long_rate_limit_is_an_error_at_once(hub, monkeypatch, request_, headers):
    slept = []
    monkeypatch.setattr("pipeline.addresses.waiting.time.sleep", slept.append)
    hub.publish("someone/one", MODEL)
    hub.fail(request_, status=429, headers=headers)
    outage = "the hub asks to try again in 3600 s (429 Too Many Requests)"
    assert complaint("someone/one") in (
        f"someone/one is not a local folder, {outage} and its cache has no such model",
        f"someone/one was not fetched, because {outage}; run it again",
    )
    assert max(slept, default=0) < 1
    hub.faults.clear()
    hub.forget()
    assert fetch("someone/one") == MODEL


def test_an_error_of_the_hub_is_an_error_after_some_requests(hub, caplog):
    hub.publish("someone/one", MODEL)
    hub.fail("/api/", status=503)
    assert complaint("someone/one") == (
        "someone/one is not a local folder, the hub asks to try again later (503 Service Unavailable) and its cache "
        "has no such model"
    )
    # One, then, as the cache has nothing, one and those after 1, 2, 4, 8, 16 and eight times 30 s.
    assert len([line for line in hub.requests if "/api/models" in line]) == 15
    said = [line for line in caplog.messages if line.startswith("hub: ")]
    assert len(said) == 13
    assert said[1] == ("hub: 503 Service Unavailable; trying again in 2 s, for 299 s at most (L2A_HUB_WAIT)")


@pytest.mark.parametrize("status", [500, 503])
@pytest.mark.parametrize("request_", ["/api/models", "HEAD"])
def test_an_error_of_the_hub_that_passes_is_none(hub, status, request_):
    hub.publish("someone/one", MODEL)
    hub.fail(request_, status=status, times=2)
    assert fetch("someone/one") == MODEL


@pytest.mark.parametrize("reset", [False, True])
def test_a_connection_that_ends_within_the_weights_leaves_nothing_half_fetched(hub, reset):
    hub.publish("someone/one", MODEL)
    hub.fail("/cdn/", cut_after=5000, reset=reset)
    assert complaint("someone/one").startswith("someone/one was not fetched, because the hub cannot be reached (")
    # Neither does another process that finds the hub out of reach take the half for the whole.
    hub.stop()
    hub.forget()
    assert "its cache has it without its weights" in complaint("someone/one")
    assert not [path for path in HOME.rglob("*") if path.is_file() and "incomplete" in path.name]
    hub.faults.clear()
    hub.start()
    hub.forget()
    assert fetch("someone/one") == MODEL


def test_a_connection_that_ends_is_taken_up_where_it_ended(hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)
    hub.publish("someone/one", MODEL)
    hub.fail("/cdn/", cut_after=20_000, times=2)
    assert fetch("someone/one") == MODEL
    assert [line.partition("bytes=")[2] for line in hub.requests if "/cdn/" in line] == ["", "20000-", "40000-"]


def test_a_hub_that_does_not_answer_is_not_waited_for(hub, monkeypatch):
    monkeypatch.setattr(waiting, "TIMEOUT", 0.2)
    hub.publish("someone/one", MODEL)
    hub.fail("/api/", seconds=1)
    assert complaint("someone/one") == (
        "someone/one is not a local folder, the hub cannot be reached (timed out) and its cache has no such model"
    )
    assert len(hub.requests) == 1


def test_requests_that_the_library_sends_without_a_timeout_have_one(hub, monkeypatch):
    monkeypatch.setattr(waiting, "TIMEOUT", 0.3)
    hub.publish("someone/one", MODEL)
    hub.fail("tree", seconds=1, times=1)
    assert fetch("someone/one") == MODEL
    assert len([line for line in hub.requests if "/tree/" in line]) == 2


def test_without_the_hub_the_cache_is_used(hub):
    hub.publish("someone/one", MODEL)
    assert fetch("someone/one") == MODEL
    hub.stop()
    hub.forget()
    assert fetch("someone/one") == MODEL
    assert complaint("someone/other") == (
        "someone/other is not a local folder, the hub cannot be reached ([Errno 111] Connection refused) and its cache "
        "has no such model"
    )


@pytest.mark.parametrize(
    "fault", [{"status": 503}, {"status": 429, "headers": {"Retry-After": "300"}}, {"status": 403}]
)
def test_a_hub_that_refuses_leaves_the_cache(hub, fault):
    hub.publish("someone/one", MODEL)
    fetch("someone/one")
    hub.fail("", **fault)
    hub.forget()
    requests = len(hub.requests)
    assert fetch("someone/one") == MODEL
    assert len([line for line in hub.requests[requests:] if "someone" in line]) == 1


def test_a_cache_without_the_weights_is_none(hub):
    hub.publish("someone/one", MODEL)
    fetch("someone/one", weights=False)
    hub.stop()
    hub.forget()
    assert fetch("someone/one", weights=False)
    assert complaint("someone/one").endswith("and its cache has it without its weights")


def test_offline_mode_is_the_cache_alone(hub):
    hub.publish("someone/one", MODEL)
    fetch("someone/one")
    requests = len(hub.requests)
    code = """
from pipeline.addresses.resolve import resolve_model
from pipeline.errors import InputError
print(resolve_model("someone/one", "teacher.model", weights=True))
try:
    resolve_model("someone/other", "teacher.model")
except InputError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | {"HF_HUB_OFFLINE": "1"}, capture_output=True,
                          text=True, check=True)  # fmt: skip
    assert done.stdout.splitlines() == [
        resolve_model("someone/one", "teacher.model", weights=True),
        "teacher.model: someone/other is not a local folder, the hub cannot be reached (offline mode) and its cache "
        "has no such model",
    ]
    assert len(hub.requests) == requests


def test_a_full_disk_is_an_os_error_that_names_the_cache(hub, monkeypatch):
    def full(*_args, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    hub.publish("someone/one", MODEL)
    monkeypatch.setattr("huggingface_hub.snapshot_download", full)
    with pytest.raises(OSError, match="No space left") as caught:
        resolve_model("someone/one", "teacher.model")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(HOME))
