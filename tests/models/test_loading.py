"""Model folders whose weights do not match their config."""

import json
import shutil
import socket

import pytest
import torch
from helpers.families import tiny_family_config
from safetensors.torch import load_file, save_file
from transformers.utils.import_utils import is_env_variable_true

from pipeline.errors import InputError
from pipeline.models.layers import new_classifier, take_layers
from pipeline.models.loading import load_classifier, load_config, load_masked_lm, load_tokenizer, quiet
from pipeline.models.saving import save_model


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


def saved_files(model, tokenizer, out):
    save_model(model, tokenizer, out)
    return {file.name: file.read_bytes() for file in out.iterdir()}


def test_a_model_of_the_hub_is_what_its_folder_is(hub, tiny_masked_lm, tmp_path):
    hub.publish("someone/masked-lm", tiny_masked_lm, refs=("v1.0",))
    address = "someone/masked-lm@v1.0"
    assert load_config(address, "x").to_json_string() == load_config(tiny_masked_lm, "x").to_json_string()
    (model, head), tokenizer = load_masked_lm(address, "x"), load_tokenizer(address, "x")
    assert head
    own = saved_files(load_masked_lm(tiny_masked_lm, "x")[0], load_tokenizer(tiny_masked_lm, "x"), tmp_path / "own")
    assert saved_files(model, tokenizer, tmp_path / "fetched") == own


def test_weights_of_the_hub_in_several_files(hub, tiny_masked_lm, tmp_path):
    model, _ = load_masked_lm(tiny_masked_lm, "x")
    with quiet():
        model.save_pretrained(tmp_path, max_shard_size="20KB")
    shards = sorted(path.name for path in tmp_path.glob("model-*.safetensors"))
    assert len(shards) > 2
    hub.publish("someone/large", tmp_path)
    weights = load_masked_lm("someone/large", "x")[0].state_dict()
    assert all(torch.equal(weight, weights[name]) for name, weight in model.state_dict().items())
    # Without one of them there is no model, not even with random weights.
    (tmp_path / shards[1]).unlink()
    hub.publish("someone/incomplete", tmp_path)
    with pytest.raises(InputError, match=rf"^x: someone/incomplete cannot be loaded .*{shards[1]}"):
        load_masked_lm("someone/incomplete", "x")


def test_a_connection_that_ends_within_the_weights_is_no_half_model(hub, tiny_classifier, monkeypatch):
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    hub.publish("someone/one", tiny_classifier)
    hub.fail("/cdn/", cut_after=10_000)
    with pytest.raises(InputError, match=r"^x: someone/one was not fetched, because the hub cannot be reached \("):
        load_classifier("someone/one", "x")
    hub.faults.clear()
    weights = load_classifier("someone/one", "x").state_dict()
    expected = load_classifier(tiny_classifier, "x").state_dict()
    assert all(torch.equal(weight, weights[name]) for name, weight in expected.items())


def test_pickles_are_refused_and_no_other_host_is_asked(hub, tiny_masked_lm, monkeypatch):
    """Neither for somebody's conversion of them nor to have them converted."""
    hosts = set()
    look_up = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *rest, **more: hosts.add(host) or look_up(host, *rest, **more)
    )
    files = {path.name: path.read_bytes() for path in tiny_masked_lm.iterdir()}
    weights = files.pop("model.safetensors")
    hub.publish("someone/pickled", files | {"pytorch_model.bin": weights})
    hub.publish("someone/pickled", files | {"model.safetensors": weights}, refs=("refs/pr/1",))
    for load in (load_config, load_masked_lm, load_classifier):
        with pytest.raises(
            InputError, match=r"^x: someone/pickled has no model.safetensors or shards of it; accepted: "
        ):
            load("someone/pickled", "x")
    assert not [line for line in hub.requests if "/resolve/" in line or "discussions" in line or "/pr/" in line]
    assert load_masked_lm("someone/pickled@refs/pr/1", "x")[1]
    assert hosts <= {"127.0.0.1", "localhost"}
    assert hosts
    assert is_env_variable_true("DISABLE_SAFETENSORS_CONVERSION")


def test_a_text_s_outputs_do_not_depend_on_those_before_it(tokenizer, tmp_path):
    """A BigBird as published answers long texts in another way until its first short one, which changes it for good."""
    config = tiny_family_config("big_bird", tokenizer)
    config.block_size, config.num_random_blocks = 4, 1
    torch.manual_seed(0)
    with quiet():
        published = new_classifier(config)
        published.save_pretrained(tmp_path)
        tokenizer.save_pretrained(tmp_path)
    long, short = (torch.arange(length).remainder(50).add(5)[None] for length in (64, 8))

    def answers(model):
        with torch.no_grad():
            first, _, again = (model(input_ids=ids).logits for ids in (long, short, long))
        return first, again

    with quiet():
        sparse, full = answers(published)
    assert not torch.allclose(sparse, full, atol=1e-3)
    model = load_classifier(tmp_path, "x")
    for opened in (model, new_classifier(load_config(tmp_path, "x")), load_masked_lm(tmp_path, "x")[0]):
        first, again = answers(opened)
        assert torch.equal(first, again)
    assert torch.allclose(answers(model)[0], full, atol=1e-6)
    assert torch.equal(answers(take_layers(model, 3, "first", "x"))[0], answers(model)[0])
