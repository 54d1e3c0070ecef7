"""Model folders whose weights do not match their config."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline.errors import InputError
from pipeline.models.loading import load_classifier


def changed(folder, out, *, config=None, weights=lambda tensors: tensors):
    """A copy of a model's folder, with another config or other weights."""
    shutil.copytree(folder, out)
    saved = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(json.dumps(saved | (config or {})))
    save_file(weights(load_file(out / "model.safetensors")), out / "model.safetensors", metadata={"format": "pt"})
    return out


def test_a_file_with_more_layers_than_its_config_is_another_model_s(tiny_classifier, tmp_path):
    layers = json.loads((tiny_classifier / "config.json").read_text())["num_hidden_layers"]
    fewer = changed(tiny_classifier, tmp_path / "fewer", config={"num_hidden_layers": layers - 1})
    with pytest.raises(InputError, match=rf"^student: .*fewer does not hold .* more layers.*layer\.{layers - 1}\."):
        load_classifier(fewer, "student")


def test_weights_that_are_nan_are_an_error(tiny_classifier, tmp_path):
    def broken(tensors):
        tensors["classifier.bias"][0] = float("nan")
        return tensors

    with pytest.raises(InputError, match=r"some of its weights are NaN or infinite, such as classifier\.bias"):
        load_classifier(changed(tiny_classifier, tmp_path / "nan", weights=broken), "student")


def test_unknown_weights_in_a_known_layer_are_ignored(tiny_classifier, tmp_path):
    more = "bert.encoder.layer.0.attention.self.distance_embedding.weight"
    folder = changed(tiny_classifier, tmp_path / "more", weights=lambda tensors: tensors | {more: torch.zeros(3, 2)})
    assert more not in load_classifier(folder, "student").state_dict()
