"""Datasets from the hub: configurations, splits and revisions, what the hub does not give, and the cache without it."""

import ast
import io
import itertools
import os
import socket
import subprocess
import sys
from types import SimpleNamespace
from typing import NoReturn

import pandas as pd
import pytest
from helpers.hub import HOME
from helpers.tiny_project import ROOT

from pipeline.data.hub import configurations, splits


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Wait for nothing between requests."""
    passed = itertools.count(1000.0, 100.0)
    clock = SimpleNamespace(sleep=lambda _: None, monotonic=lambda: next(passed))
    monkeypatch.setattr("pipeline.addresses.waiting.time", clock)


def csv(*texts):
    return "\n".join(["text,label", *(f"{text},{index % 2}" for index, text in enumerate(texts))]).encode()


def parquet(*texts):
    file = io.BytesIO()
    pd.DataFrame({"text": texts, "label": [index % 2 for index in range(len(texts))]}).to_parquet(file)
    return file.getvalue()


CARD = b"""---
configs:
- config_name: de
  data_files:
  - {split: train, path: de/train-*.parquet}
  - {split: test, path: de/test.parquet}
- config_name: en
  data_files: [{split: train, path: en/train.parquet}]
---
"""


@pytest.fixture
def reviews(hub):
    """Two configurations in Parquet files, one of them with two splits."""
    files = {"README.md": CARD, "en/train.parquet": parquet("good"), "de/test.parquet": parquet("neu")}
    files |= {f"de/train-{part}.parquet": parquet(f"gut {part}", f"schlecht {part}") for part in (0, 1)}
    hub.publish("someone/reviews", files, kind="dataset")
    return hub


@pytest.fixture
def tagged(hub):
    """A CSV file that was replaced by another. Returns the commit of the first."""
    first = hub.publish("someone/tagged", {"train.csv": csv("old", "older")}, kind="dataset", refs=("v1.0",))
    hub.publish("someone/tagged", {"train.csv": csv("new", "newer")}, kind="dataset")
    converted = {"default/train/0000.parquet": parquet("converted")}
    hub.publish("someone/tagged", converted, kind="dataset", refs=("refs/convert/parquet",))
    return first


def test_a_configuration_and_a_split(reviews, load):
    expected = ["gut 0", "schlecht 0", "gut 1", "schlecht 1"]
    assert load("someone/reviews", config="de")["text"].tolist() == expected
    assert load("someone/reviews", config="de", split="train[1:3]")["text"].tolist() == expected[1:3]
    assert load("someone/reviews", config="de", split="test")["text"].tolist() == ["neu"]
    assert load("someone/reviews", config="en")["label"].tolist() == ["0"]


def test_numbers_and_classes_are_as_the_table_has_them(hub, load, monkeypatch):
    """`with_format("numpy")` would make float32 of the numbers, `class_encode_column` number classes by spelling."""

    def refused(*_: object, **__: object) -> NoReturn:
        raise AssertionError

    for name in ("with_format", "set_format", "class_encode_column"):
        monkeypatch.setattr(f"datasets.Dataset.{name}", refused)
    scores, stars = [0.1, 1 / 3, 16777217.0, 1e-300], [2, 10, -1, 9]
    frame = pd.DataFrame({"text": ["a", "b", "c", "d"], "score": scores, "stars": stars})
    file = io.BytesIO()
    frame.to_parquet(file)
    hub.publish("someone/scores", {"train.parquet": file.getvalue()}, kind="dataset")
    assert [float(score) for score in load("someone/scores", columns={"label": "score"})["label"]] == scores
    assert load("someone/scores", columns={"label": "stars"})["label"].tolist() == ["2", "10", "-1", "9"]


@pytest.mark.parametrize("folder", ["pipeline", "stages", "benchmarks"])
def test_nothing_formats_or_renumbers_a_column(folder):
    changing = {"with_format", "set_format", "class_encode_column"}
    found = [
        f"{path}: {node.attr}"
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in changing
    ]
    assert not found


def test_no_other_host_is_asked(reviews, load, monkeypatch):
    hosts = set()
    look_up = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *rest, **more: hosts.add(host) or look_up(host, *rest, **more)
    )
    assert len(load("someone/reviews", config="de")) == 4
    assert configurations("someone/reviews", None) == ["de", "en"]
    assert splits("someone/reviews", "de") == ["train", "test"]
    assert hosts <= {"127.0.0.1", "localhost"}
    assert hosts


def test_a_revision_is_a_branch_a_tag_or_a_commit(hub, tagged, load):
    expected = {"": "new", "@main": "new", "@v1.0": "old", "@refs/convert/parquet": "converted", f"@{tagged}": "old"}
    assert {revision: load(f"someone/tagged{revision}")["text"][0] for revision in expected} == expected
    # Without the hub too, though the library would take whatever it loaded last.
    hub.stop()
    for revision, text in [*expected.items(), *reversed(expected.items())]:
        hub.forget()
        if revision:
            assert load(f"someone/tagged{revision}")["text"][0] == text


def test_the_hub_is_not_asked_for_tables_of_a_commit_that_are_there(reviews, load):
    commit = reviews.repositories["dataset", "someone/reviews"].refs["main"]
    load(f"someone/reviews@{commit}", config="en")
    requests = len(reviews.requests)
    reviews.forget()
    assert load(f"someone/reviews@{commit}", config="en")["text"].tolist() == ["good"]
    assert len(reviews.requests) == requests
    # Of one configuration, not of another, and not of the one that null stands for elsewhere.
    assert load(f"someone/reviews@{commit}", config="de", split="test")["text"].tolist() == ["neu"]
    assert len(reviews.requests) > requests


def test_a_configuration_left_out_is_not_that_which_is_in_the_cache(reviews, load, complaint):
    commit = reviews.repositories["dataset", "someone/reviews"].refs["main"]
    load(f"someone/reviews@{commit}", config="en")
    assert complaint(f"someone/reviews@{commit}") == "data.source.config: got null; accepted: de, en"


def test_tables_of_a_commit_that_are_damaged_are_made_again(hub, tagged, load):
    load(f"someone/tagged@{tagged}")
    for path in (HOME / "datasets").rglob("dataset_info.json"):
        path.unlink()
    hub.forget()
    assert load(f"someone/tagged@{tagged}")["text"].tolist() == ["old", "older"]


def test_a_revision_that_is_not_in_the_cache(hub, tagged, load, complaint):
    load("someone/tagged")
    load("someone/tagged@v1.0")
    hub.stop()
    hub.forget()
    assert complaint("someone/tagged@main") == (
        "data.source.path: someone/tagged@main is not a local file, the hub cannot be reached ([Errno 111] Connection "
        "refused) and its cache has no such dataset"
    )


@pytest.mark.parametrize(
    ("path", "options", "line"),
    [
        ("someone/reviews", {}, "config: got null; accepted: de, en"),
        ("someone/reviews", {"config": "dee"}, "config: got 'dee'; accepted: de, en; nearest: de"),
        ("someone/reviews", {"config": "en", "split": "tst"}, "split: got 'tst'; accepted: train"),
        ("someone/reviews", {"config": "de", "split": "tst"}, "split: got 'tst'; accepted: train, test; nearest: test"),
        ("someone/reviews", {"config": "de", "split": "test[:x]"},
         "split: got 'test[:x]'; accepted: train, test; nearest: test"),
        ("someone/tagged", {"config": "de"}, "config: got 'de'; accepted: default"),
        ("someone/tagged@v9", {}, "path: someone/tagged@v9 is no revision that the hub has; "
         "accepted: v1.0, main, refs/convert/parquet or the hash of a commit"),
        ("someone/none", {}, "path: someone/none is not a local file, and the hub has no such dataset "
         "(401 Unauthorized); accepted: the id of one; if it is private, `hf auth login` or set HF_TOKEN"),
        ("someone/script", {}, "path: someone/script cannot be read (RuntimeError: Dataset scripts are no longer "
         "supported, but found script.py)"),
        ("someone/other", {}, "path: someone/other cannot be read (DataFilesNotFoundError: No (supported) data files "
         "found in someone/other)"),
        ("someone/broken", {}, "path: someone/broken cannot be read (ArrowInvalid: Parquet magic bytes not found in "
         "footer. Either the file is corrupted or this is not a parquet file.)"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(reviews, tagged, complaint, path, options, line):
    reviews.publish("someone/script", {"script.py": b"", "train.csv": csv("a")}, kind="dataset")
    reviews.publish("someone/other", {"table.xyz": b"", "table.abc": b""}, kind="dataset")
    reviews.publish("someone/broken", {"train.parquet": csv("a")}, kind="dataset")
    message = complaint(path, **options)
    assert message == f"data.source.{line}"


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (401, "is gated (401 Unauthorized); ask for access on {page}, then `hf auth login` or set HF_TOKEN"),
        (403, "is gated (403 Forbidden); ask for access on {page}"),
    ],
)
def test_a_gated_dataset(reviews, load, complaint, monkeypatch, status, line):
    reviews.repositories["dataset", "someone/reviews"].refusal = status
    page = f"{os.environ['HF_ENDPOINT']}/datasets/someone/reviews"
    message = complaint("someone/reviews", config="en")
    assert message == f"data.source.path: someone/reviews {line.format(page=page)}"
    monkeypatch.setenv("HF_TOKEN", reviews.TOKEN)
    reviews.forget()
    assert load("someone/reviews", config="en")["text"].tolist() == ["good"]
    assert not [address for address, _ in reviews.tokens if "/cdn/" in address]


@pytest.mark.parametrize(
    "request_", ["GET /api/datasets/[^/]*/reviews$", "HEAD .*README", "tree", "HEAD .*parquet", "/cdn/"]
)
@pytest.mark.parametrize(
    ("fault", "outage"),
    [
        ({"status": 429, "headers": {"Retry-After": "3600"}}, "asks to try again in 3600 s (429 Too Many Requests)"),
        ({"status": 503}, "asks to try again later (503 Service Unavailable)"),
    ],
)
def test_a_hub_that_has_too_much_to_do(reviews, load, complaint, request_, fault, outage):
    reviews.fail(request_, **fault)
    message = complaint("someone/reviews", config="en")
    assert message.startswith("data.source.path: someone/reviews ")
    assert f"the hub {outage}" in message
    reviews.faults.clear()
    reviews.forget()
    assert load("someone/reviews", config="en")["text"].tolist() == ["good"]


@pytest.mark.parametrize("reset", [False, True])
def test_a_connection_that_ends_within_a_table(reviews, load, complaint, reset):
    reviews.fail("/cdn/", cut_after=100, reset=reset)
    message = complaint("someone/reviews", config="en")
    assert message.startswith("data.source.path: someone/reviews was not fetched, because the hub cannot be reached (")
    reviews.faults.clear()
    reviews.forget()
    assert load("someone/reviews", config="en")["text"].tolist() == ["good"]


def test_without_the_hub_the_cache_is_used(reviews, load, complaint, caplog):
    load("someone/reviews", config="de")
    reviews.stop()
    reviews.forget()
    assert load("someone/reviews", config="de", split="test")["text"].tolist() == ["neu"]
    refused = "the hub cannot be reached ([Errno 111] Connection refused)"
    assert complaint("someone/none") == (
        f"data.source.path: someone/none is not a local file, {refused} and its cache has no such dataset"
    )
    assert complaint("someone/reviews", config="en") == (
        "data.source.path: someone/reviews cannot be read from the cache (Couldn't find cache for someone/reviews for "
        f"config 'en' Available configs in the cache: ['de']); {refused}"
    )
    assert complaint("someone/reviews", config="de", split="no") == "data.source.split: got 'no'; accepted: train, test"
    assert not caplog.records


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 401}])
def test_a_hub_that_refuses_leaves_the_cache(reviews, load, fault):
    load("someone/reviews", config="en")
    reviews.fail("", **fault)
    reviews.forget()
    requests = len(reviews.requests)
    assert load("someone/reviews", config="en")["text"].tolist() == ["good"]
    assert len([line for line in reviews.requests[requests:] if "someone" in line]) == 1


def test_a_fault_that_passes_is_outlasted_and_a_table_taken_up_where_it_ended(hub, load, monkeypatch, caplog):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 100)
    hub.publish("someone/texts", {"train.parquet": parquet(*(f"text {row}" for row in range(200)))}, kind="dataset")
    hub.fail("/cdn/[^ ]*$", cut_after=300, reset=True)
    hub.fail("/cdn/.*bytes=300-", status=503, times=2)
    hub.fail("GET /api/datasets", status=429, headers={"Retry-After": "9"}, times=2)
    assert len(load("someone/texts")) == 200
    assert [line.partition("bytes=")[2] for line in hub.requests if "/cdn/" in line] == ["", *["300-"] * 3]
    said = [line.split("; ")[:2] for line in caplog.messages if line.startswith("hub: ")]
    assert [first for first, _ in said] == ["hub: 429 Too Many Requests", *["hub: 503 Service Unavailable"] * 2]


def test_offline_mode_is_the_cache_alone(reviews, load):
    load("someone/reviews", config="en")
    requests = len(reviews.requests)
    code = """
from pipeline.data.hub import read_hub
from pipeline.errors import InputError
from pipeline.params.data import Table
print(read_hub(Table(path="someone/reviews", config="en"), "data.target")["text"].tolist())
try:
    read_hub(Table(path="someone/other"), "data.target")
except InputError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | {"HF_HUB_OFFLINE": "1"}, capture_output=True,
                          text=True, check=True)  # fmt: skip
    assert done.stdout.splitlines() == [
        "['good']",
        "data.target.path: someone/other is not a local file, the hub cannot be reached (offline mode) and its cache "
        "has no such dataset",
    ]
    assert (done.stderr, len(reviews.requests)) == ("", requests)
