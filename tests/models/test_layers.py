"""Some layers of a model as a new one: which weights it has, and families that cannot be cut."""

import logging

import pytest
import torch
from helpers.families import FAMILIES, tiny_family_config
from transformers import AlbertConfig, AutoConfig, AutoModelForSequenceClassification, LongformerConfig

from pipeline.errors import InputError
from pipeline.models.attention import sample_inputs
from pipeline.models.forward import forward
from pipeline.models.layers import check_layers, cut_config, new_classifier, take_layers
from pipeline.models.loading import quiet

NOT_CUT = {"esm", "esmc", "funnel"}
REFUSED = {"bart", "mbart", "mvp", "modernvbert", "perceiver", "ultravbert", "xmod"}
"""Encoder-decoders, models of images, and one that must be told the language."""


@torch.no_grad()
@pytest.mark.parametrize("family", [family for family in FAMILIES if family not in NOT_CUT | REFUSED])
def test_the_first_layers_compute_in_the_student_what_they_did(family, tokenizer):
    """All but the last, whose states some families normalise."""
    config = tiny_family_config(family, tokenizer)
    torch.manual_seed(0)
    with quiet():
        model = new_classifier(config)
        student = take_layers(model, 2, "first", "it")
    texts = sample_inputs(model)
    expected, states = (forward(each, texts, ["layers"]).layers for each in (model, student))
    assert len(states) == 3
    for one, other in zip(states[:-1], expected, strict=False):
        torch.testing.assert_close(one[texts["attention_mask"] == 1], other[texts["attention_mask"] == 1])


def tall(kind, layers=6, **changes):
    """A random classifier of so many layers."""
    sizes = {"vocab_size": 90, "hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64}
    tokens = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
    config = AutoConfig.for_model(
        kind, num_hidden_layers=layers, max_position_embeddings=64, **sizes, **tokens, **changes
    )
    return AutoModelForSequenceClassification.from_config(config).eval()


@pytest.mark.parametrize("kind", ["bert", "distilbert", "roberta", "electra", "mpnet", "deberta-v2"])
@pytest.mark.parametrize(
    ("pick", "layers", "taken"),
    [
        ("spaced", 3, [2, 4, 6]),
        ("spaced", 4, [2, 3, 5, 6]),
        ("spaced", 6, [1, 2, 3, 4, 5, 6]),
        ("first", 3, [1, 2, 3]),
        ("ends", 1, [6]),
        ("ends", 2, [1, 6]),
        ("ends", 3, [1, 4, 6]),
        ("ends", 4, [1, 3, 5, 6]),
        ("ends", 6, [1, 2, 3, 4, 5, 6]),
    ],
)
def test_which_layers_are_taken(kind, pick, layers, taken):
    """Weights of layer i are those of layer taken[i]; weights outside the layers are unchanged."""
    torch.manual_seed(0)
    whole = tall(kind)
    student = take_layers(whole, layers, pick, "it")
    weights, seen = whole.state_dict(), 0
    for name, weight in student.state_dict().items():
        parts = name.split(".")
        for part in [part for part in parts if part.isdigit()]:
            parts[parts.index(part)] = str(taken[int(part)] - 1)
            seen += 1
        assert torch.equal(weight, weights[".".join(parts)]), name
    assert student.config.num_hidden_layers == layers
    assert seen == 16 * layers


@pytest.mark.parametrize(
    ("kind", "layers", "expected"),
    [
        # All its layers are one.
        ("albert", 2, r"^student\.pick: it has no list of 4 layers to pick from; accepted: first$"),
        # Its first layer lacks a norm that the others have.
        ("modernbert", 2, r"^student\.pick: it has a first layer that is unlike the others; accepted: first$"),
    ],
)
def test_families_whose_layers_cannot_replace_each_other(kind, layers, expected):
    with pytest.raises(InputError, match=expected):
        take_layers(tall(kind, 4), layers, "spaced", "it")


@pytest.mark.parametrize("pick", ["first", "spaced", "ends"])
@pytest.mark.parametrize("family", sorted(NOT_CUT))
def test_families_that_cannot_be_cut(family, pick, tokenizer):
    config = tiny_family_config(family, tokenizer)
    with pytest.raises(InputError, match=r"^student\.init: .*; accepted: student\.init: pretrained, fresh or bilstm$"):
        check_layers(config, 2, pick, "it")


def test_shared_layers_are_as_many_parameters(caplog):
    config = AlbertConfig(embedding_size=128, hidden_size=768, num_attention_heads=12, intermediate_size=3072)
    with caplog.at_level(logging.WARNING):
        check_layers(config, 3, "first", "it")
        check_layers(config, 12, "first", "it")
    (record,) = caplog.records
    shared = "student.layers: the layers of albert models share their weights: "
    assert record.getMessage() == f"{shared}3 are as many parameters as all 12, 11,685,122"


def test_settings_of_each_layer_are_those_of_the_layers_taken(tokenizer):
    config = LongformerConfig(num_hidden_layers=4, attention_window=[8, 16, 32, 64])
    assert cut_config(config, 2, "first").attention_window == [8, 16]
    assert cut_config(config, 2, "spaced").attention_window == [16, 64]
    assert config.attention_window == [8, 16, 32, 64]
    modern = tiny_family_config("modernbert", tokenizer)
    assert cut_config(modern, 1, "spaced").layer_types == modern.layer_types[-1:]


def test_checking_takes_no_random_numbers():
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    check_layers(AutoConfig.for_model("bert"), 3, "spaced", "it")
    assert torch.equal(torch.rand(2), expected)
