"""Saved model folders: nothing is left after an error, and the bytes do not depend on the machine."""

import errno
import json
import shutil

import pytest
from safetensors import SafetensorError

from pipeline.models.loading import load_classifier, load_masked_lm, load_tokenizer
from pipeline.models.saving import save_model


def test_a_full_disk_is_an_os_error_that_names_the_folder(tiny_classifier, tmp_path, monkeypatch):
    model, tokenizer = load_classifier(tiny_classifier, "x"), load_tokenizer(tiny_classifier, "x")

    def full(*_, **__):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(model, "save_pretrained", full)
    with pytest.raises(OSError, match="No space left") as error:
        save_model(model, tokenizer, tmp_path / "out")
    assert (error.value.errno, error.value.filename) == (errno.ENOSPC, str(tmp_path / "out"))
    assert not list(tmp_path.iterdir())


def test_other_errors_are_not_changed(tiny_classifier, tmp_path, monkeypatch):
    model, tokenizer = load_classifier(tiny_classifier, "x"), load_tokenizer(tiny_classifier, "x")

    def broken(*_, **__):
        raise ValueError("of another kind")

    monkeypatch.setattr(model, "save_pretrained", broken)
    with pytest.raises(ValueError, match="of another kind"):
        save_model(model, tokenizer, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_folder_does_not_depend_on_whether_the_hub_could_be_reached(tiny_classifier, tmp_path, monkeypatch):
    saved = []
    for offline in (True, False):
        monkeypatch.setattr("transformers.tokenization_utils_base.is_offline_mode", lambda offline=offline: offline)
        tokenizer = load_tokenizer(tiny_classifier, "x")
        save_model(load_classifier(tiny_classifier, "x"), tokenizer, tmp_path / str(offline))
        saved.append({file.name: file.read_bytes() for file in (tmp_path / str(offline)).iterdir()})
    assert saved[0] == saved[1]


def test_a_folder_does_not_depend_on_where_the_model_came_from(hub, tiny_masked_lm, tmp_path, monkeypatch):
    """By id and commit, with the hub and without, by folder: the bytes are the same, and none name the origin."""
    folder = tmp_path / "elsewhere"
    shutil.copytree(tiny_masked_lm, folder)
    config = folder / "tokenizer_config.json"
    # As people publish them: with what their own run left there.
    left = {"name_or_path": "/home/someone/run", "is_local": False, "local_files_only": True, "_commit_hash": "0" * 40}
    config.write_text(json.dumps(json.loads(config.read_text()) | left))
    commit = hub.publish("someone/one", folder)

    def saved(address, name):
        hub.forget()
        model, _ = load_masked_lm(address, "x")
        save_model(model, load_tokenizer(address, "x"), tmp_path / name)
        return {file.name: file.read_bytes() for file in (tmp_path / name).iterdir()}

    found = [saved("someone/one", "id"), saved(f"someone/one@{commit}", "commit"), saved(folder, "folder")]
    monkeypatch.setattr("transformers.tokenization_utils_base.is_offline_mode", lambda: True)
    hub.stop()
    found.append(saved("someone/one", "offline"))
    assert all(files == found[0] for files in found)
    for name, data in found[0].items():
        for word in (commit, "0" * 40, "someone", str(tmp_path), "is_local", "local_files_only", "name_or_path"):
            assert name == "SHA256SUMS" or word.encode() not in data, (name, word)
