"""A head and low-rank weights for an encoder without a head: which weights are trained, which stay, which are saved."""

import warnings

import numpy as np
import pytest
import torch
from helpers.families import FAMILIES, REFUSED, tiny_family_config
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForMaskedLM, BertModel

from pipeline.augment.adapter import load_adapter, masked_accuracy, merge, save_adapter, train_adapter, with_adapter
from pipeline.errors import InputError
from pipeline.models.loading import load_masked_lm, quiet
from pipeline.params.models import Generator


def settings(**changes):
    return Generator.model_validate({"rank": 4, "batch_size": 16, "learning_rate": 0.01, **changes})


def load(folder):
    torch.manual_seed(0)
    return load_masked_lm(str(folder), "generator.model")[0]


@pytest.fixture(scope="module")
def corpus(reviews):
    return reviews(200, seed=5).texts


@pytest.fixture(scope="module")
def heldout(reviews):
    return reviews(100, seed=6).texts


@pytest.fixture(scope="module")
def trained(tiny_encoder, tokenizer, corpus):
    params = settings(steps=120, text={"path": "t.csv"})
    return train_adapter(load(tiny_encoder), tokenizer, corpus, params, seed=1)


@pytest.fixture
def inputs(tokenizer, heldout):
    return dict(tokenizer(heldout[:3], padding=True, return_tensors="pt", return_token_type_ids=False))


def test_it_learns_to_guess_masked_tokens(trained, tiny_encoder, tokenizer, heldout):
    chance = masked_accuracy(load(tiny_encoder), tokenizer, heldout, settings(), 1)
    assert chance < 0.2
    assert masked_accuracy(trained.base_model.model, tokenizer, heldout, settings(), 1) > 0.45


def test_what_was_pretrained_stays_as_it_was(trained, tiny_encoder):
    before = {
        name: weight
        for name, weight in load(tiny_encoder).named_parameters()
        if name.startswith("bert.") and weight.ndim == 2
    }
    after = dict(trained.base_model.model.named_parameters())
    for name, weight in before.items():
        name = name if name in after else name.replace(".weight", ".base_layer.weight")
        assert torch.equal(after[name], weight), name
    decoder = trained.base_model.model.get_output_embeddings().weight
    assert torch.equal(decoder, before["bert.embeddings.word_embeddings.weight"])


def test_few_weights_are_trained(tiny_encoder):
    adapted = with_adapter(load(tiny_encoder), rank=2)
    names = [name for name, parameter in adapted.named_parameters() if parameter.requires_grad and parameter.ndim == 2]
    # In each of 3 layers: query, key, value, output, intermediate, output; and the head's own matrix.
    assert sum("lora_" in name for name in names) == 2 * 6 * 3
    assert [name for name in names if "lora_" not in name] == [
        "base_model.model.cls.predictions.transform.dense.weight"
    ]


def test_biases_and_norms_are_trained_whole(tiny_encoder):
    adapted = with_adapter(load(tiny_encoder), rank=2)
    left = [
        name for name, parameter in adapted.named_parameters() if parameter.ndim == 1 and not parameter.requires_grad
    ]
    assert left == []
    assert any("LayerNorm" in name for name, _ in adapted.named_parameters())


def test_the_merged_model_gives_the_same_logits(tiny_encoder, tokenizer, corpus, inputs):
    adapted = train_adapter(load(tiny_encoder), tokenizer, corpus, settings(steps=10, text={"path": "t.csv"}), seed=2)
    with torch.no_grad():
        expected = adapted(**inputs).logits
        merged = merge(adapted, "generator.steps")
        torch.testing.assert_close(merged(**inputs).logits, expected, rtol=1e-4, atol=1e-4)
        plain = load(tiny_encoder)(**inputs).logits
    assert not any("lora" in name for name, _ in merged.named_parameters())
    assert (expected - plain).abs().max() > 0.1


def test_merging_into_a_decoder_that_is_tied_is_refused(tiny_masked_lm):
    """peft adds the weights to the one matrix that is decoder and embeddings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapted = get_peft_model(load(tiny_masked_lm), LoraConfig(r=2, target_modules=["cls.predictions.decoder"]))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    with pytest.raises(
        InputError, match=r"^generator\.steps: merged into a bert, the low-rank weights move its outputs"
    ):
        merge(adapted, "generator.steps")


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - REFUSED - {"ibert"}))
def test_merging_moves_no_output_of_any_family(family, tokenizer):
    torch.manual_seed(0)
    with quiet():
        model = AutoModelForMaskedLM.from_config(tiny_family_config(family, tokenizer)).eval()
    embeddings = model.get_input_embeddings().weight.detach().clone()
    adapted = with_adapter(model, rank=2)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    merged = merge(adapted, "generator.steps")
    assert torch.equal(merged.get_input_embeddings().weight, embeddings)


def test_a_family_without_linear_layers(tokenizer):
    with quiet():
        model = AutoModelForMaskedLM.from_config(tiny_family_config("ibert", tokenizer))
    with pytest.raises(InputError, match=r"^generator\.model: ibert models have no linear layers to add low-rank weig"):
        with_adapter(model, rank=2)


def test_a_saved_adapter_gives_the_same_model(trained, tiny_encoder, inputs, tmp_path):
    save_adapter(trained, tmp_path / "a.safetensors")
    assert {weight.dtype for weight in load_file(tmp_path / "a.safetensors").values()} == {torch.float16}
    with torch.no_grad():
        loaded = load_adapter(load(tiny_encoder), tmp_path / "a.safetensors", "generator.adapter")
        logits, expected = loaded(**inputs).logits, trained(**inputs).logits
    torch.testing.assert_close(logits, expected, rtol=0, atol=0.02 * expected.abs().max().item())
    assert torch.equal(logits.argmax(-1), expected.argmax(-1))


def test_the_same_seed_trains_the_same_weights(tiny_encoder, tokenizer, corpus, tmp_path):
    files = []
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        adapted = train_adapter(
            load(tiny_encoder), tokenizer, corpus, settings(steps=3, text={"path": "t.csv"}), seed=seed
        )
        save_adapter(adapted, tmp_path / name)
        files.append((tmp_path / name).read_bytes())
    assert files[0] == files[1] != files[2]


def test_an_adapter_of_another_model(trained, saved, tmp_path):
    save_adapter(trained, tmp_path / "a.safetensors")
    other = load(saved(BertModel, hidden_size=24))
    with pytest.raises(InputError, match=r"^generator\.adapter: .*a\.safetensors was trained on another model"):
        load_adapter(other, tmp_path / "a.safetensors", "generator.adapter")


def test_an_adapter_of_the_same_model_fine_tuned(trained, tiny_encoder, tmp_path):
    save_adapter(trained, tmp_path / "a.safetensors")
    other = load(tiny_encoder)
    with torch.no_grad():
        other.get_input_embeddings().weight[7] += 1e-4
    with pytest.raises(InputError, match=r"was trained on another model of these sizes; accepted: "):
        load_adapter(other, tmp_path / "a.safetensors", "generator.adapter")


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such adapter file"), (b"nonsense", "is not a safetensors file"), ({}, "holds no low-rank weights")],
)
def test_files_that_are_no_adapter(tiny_encoder, tmp_path, content, message):
    path = tmp_path / "a.safetensors"
    if isinstance(content, dict):
        save_file({"weight": torch.zeros(2)}, path)
    elif content:
        path.write_bytes(content)
    with pytest.raises(InputError, match=rf"^generator\.adapter: .*{message}") as error:
        load_adapter(load(tiny_encoder), path, "generator.adapter")
    assert str(path) in str(error.value)


class Guesser(torch.nn.Module):
    """Counts what it is shown, and guesses one token always."""

    def __init__(self, model, guess):
        super().__init__()
        self.inner, self.guess = model, guess
        self.base_model = model.base_model
        self.shown = []

    def forward(self, **inputs):
        self.shown.append(inputs["input_ids"])
        out = self.inner(**inputs)
        out.logits = torch.zeros_like(out.logits).index_fill(-1, torch.tensor(self.guess), 1.0)
        return out


def test_masked_accuracy_is_the_share_of_right_guesses(tiny_masked_lm, tokenizer):
    """Ten words, two of them masked: `good` is right where `good` was masked."""
    texts = [" ".join(["good"] * 5 + ["film"] * 5)] * 200
    guesser = Guesser(load(tiny_masked_lm), tokenizer.convert_tokens_to_ids("good"))
    accuracy = masked_accuracy(guesser, tokenizer, texts, settings(mask=0.2), seed=3)
    shown = torch.cat(guesser.shown)
    masks = shown == tokenizer.mask_token_id
    assert (masks.sum(1) == 2).all()
    assert accuracy == pytest.approx(masks[:, 1:6].sum().item() / masks.sum().item())
    # Every place is masked about as often as the others, none of them special.
    assert masks[:, [0, 11]].sum() == 0
    assert np.ptp(masks[:, 1:11].sum(0).numpy()) < 40


def test_the_share_is_of_each_text_s_own_tokens(tiny_masked_lm, tokenizer):
    guesser = Guesser(load(tiny_masked_lm), 5)
    masked_accuracy(guesser, tokenizer, ["film " * 15, "a film"], settings(mask=0.4), seed=3)
    (shown,) = guesser.shown
    assert (shown == tokenizer.mask_token_id).sum(1).tolist() == [1, 6]


def test_at_least_one_token_of_each_text_is_masked(tiny_masked_lm, tokenizer):
    guesser = Guesser(load(tiny_masked_lm), 5)
    masked_accuracy(guesser, tokenizer, ["film", "a good film"], settings(mask=0.01), seed=3)
    assert (torch.cat(guesser.shown) == tokenizer.mask_token_id).sum(1).tolist() == [1, 1]
