"""The same inputs have the same name, on every day and machine; anything else has another."""

import hashlib

import pytest
import torch
import transformers

from pipeline.compute import distributed
from pipeline.compute.environment import environment
from pipeline.storage.fingerprint import file_hash, fingerprint, folder_hash


def test_the_order_of_keys_does_not_matter():
    assert fingerprint(a=1, b={"x": 1, "y": [2]}) == fingerprint(b={"y": [2], "x": 1}, a=1)


@pytest.mark.parametrize(
    "other", [{"a": 2}, {"b": 1}, {"a": "1"}, {"a": 1.5}, {"a": [1]}, {"a": None}, {}, {"a": 1, "b": 1}]
)
def test_another_value_has_another_fingerprint(other):
    assert fingerprint(**other) != fingerprint(a=1)


def test_it_is_the_same_on_every_machine():
    written = '{"alpha": 0.8, "text": "é"}'.encode()
    assert fingerprint(text="é", alpha=0.8) == hashlib.blake2b(written, digest_size=16).hexdigest()


def test_the_libraries_and_the_device_are_named(monkeypatch):
    here = environment()
    assert here.keys() == {"torch", "transformers", "tokenizers", "numpy", "peft", "device"}
    assert (here["transformers"], here["device"]) == (transformers.__version__, distributed.device().type)
    monkeypatch.setattr(distributed, "device", lambda: torch.device("meta", 3))
    assert environment() == here | {"device": "meta"}


def test_a_file_is_named_by_its_content(tmp_path):
    content = bytes(range(256)) * 9000
    (tmp_path / "a").write_bytes(content)
    (tmp_path / "b").write_bytes(content)
    wanted = hashlib.blake2b(content, digest_size=16).hexdigest()
    assert file_hash(tmp_path / "a") == file_hash(tmp_path / "b") == wanted


@pytest.fixture
def folder(tmp_path):
    def make(name, files):
        for path, content in files.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_text(content)
        return tmp_path / name

    return make


FILES = {"config.json": "{}", "sub/weights": "1"}


def test_a_folder_is_named_by_its_files(folder):
    assert folder_hash(folder("one", FILES)) == folder_hash(folder("other", dict(reversed(FILES.items()))))


@pytest.mark.parametrize(
    "files",
    [
        {**FILES, "config.json": "{ }"},
        {"config2.json": "{}", "sub/weights": "1"},
        {"config.json": "{}", "weights": "1"},
        {**FILES, "more": ""},
        {"config.json": "1", "sub/weights": "{}"},
    ],
)
def test_another_folder_has_another_name(folder, files):
    assert folder_hash(folder("one", FILES)) != folder_hash(folder("other", files))
