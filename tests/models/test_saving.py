"""Saved model folders: nothing is left after an error, and the bytes do not depend on the machine."""

import errno

import pytest
from safetensors import SafetensorError

from pipeline.models.loading import load_classifier, load_tokenizer
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
