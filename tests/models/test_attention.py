"""Attention recorded of every encoder family that transformers has, against its own eager attention."""

import copy

import pytest
import torch
from helpers.families import FAMILIES, tiny_family_config
from transformers import AutoModelForSequenceClassification, ConvBertConfig, EuroBertConfig, FNetConfig

from pipeline.compute.precision import precision
from pipeline.models.attention import ATTENTION, attention_heads, attention_route, recording, sums_to_one
from pipeline.models.forward import forward
from pipeline.models.loading import quiet

NONE = {"fnet", "funnel", "longformer", "mra", "squeezebert", "yoso"}
"""Families without attention whose rows sum to one; SqueezeBERT returns scores as they are before the softmax."""
ELSEWHERE = {"bart", "mbart", "mvp", "modernvbert", "perceiver", "reformer", "ultravbert", "xmod"}
"""Encoder-decoders, models of images, XMOD, which must be told the language, and Reformer, which hashes at random."""
MASK = torch.tensor([[1] * 6, [1, 1, 1, 0, 0, 0]])


def build(config, attention=None):
    torch.manual_seed(0)
    with quiet():
        return AutoModelForSequenceClassification.from_config(
            copy.deepcopy(config), attn_implementation=attention
        ).eval()


def inputs(tokenizer):
    tokens = torch.tensor([[7, 8, 9, 10, 11, 12], [13, 14, 15, 0, 0, 0]])
    return {"input_ids": tokens.masked_fill(MASK == 0, tokenizer.pad_token_id), "attention_mask": MASK}


@torch.no_grad()
@pytest.mark.parametrize("family", [family for family in FAMILIES if family not in ELSEWHERE])
def test_recorded_attention_is_the_family_s_own(family, tokenizer):
    config = tiny_family_config(family, tokenizer)
    model, texts = build(config), inputs(tokenizer)
    plain = model(**texts).logits
    route = attention_route(model)
    if family in NONE:
        assert route is None
        return
    attention = forward(model, texts, ["attention"]).attention
    eager = build(config, "eager")
    eager(**texts)
    expected = eager(**texts, output_attentions=True).attentions
    assert attention.shape == (2, attention_heads(config), 6, 6)
    for row, n in enumerate(MASK.sum(1)):
        torch.testing.assert_close(attention[row, :, :n], expected[-1][row, :, :n], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(attention[row, :, :n, :n].sum(-1), torch.ones(len(attention[row]), n))
    torch.testing.assert_close(model(**texts).logits, plain)
    if route.interface:
        scores = forward(model, texts, ["scores"]).scores
        assert len(scores) == len(expected)
        for layer, probs in zip(scores, expected, strict=True):
            torch.testing.assert_close(layer[0].softmax(-1), probs[0], rtol=1e-4, atol=1e-5)
    else:
        assert model.config._attn_implementation == "eager"


@torch.no_grad()
def test_the_route_is_found_in_bfloat16_too(tokenizer, monkeypatch):
    """The first pass of a model may be one in reduced precision."""
    texts = inputs(tokenizer)
    for family in ("bert", "mpnet"):
        model = build(tiny_family_config(family, tokenizer))
        exact = forward(copy.deepcopy(model), texts, ["attention"]).attention
        monkeypatch.setenv("L2A_PRECISION", "bfloat16")
        with precision(torch.device("cpu")):
            rounded = forward(model, texts, ["attention"]).attention
        torch.testing.assert_close(rounded, exact, rtol=0.05, atol=0.01)


@pytest.mark.parametrize("family", [family for family in FAMILIES if family not in ELSEWHERE | NONE])
def test_attention_in_training_is_that_before_dropout(family, tokenizer):
    """After dropout its rows would not sum to one: each entry is 0 or has grown."""
    model = build(tiny_family_config(family, tokenizer)).train()
    attention = forward(model, inputs(tokenizer), ["attention"]).attention
    for probs, n in zip(attention, MASK.sum(1), strict=True):
        torch.testing.assert_close(probs[:, :n, :n].sum(-1), torch.ones(len(probs), n))
    attention[0, 0, 0, 0].backward()
    assert any(parameter.grad is not None and parameter.grad.any() for parameter in model.base_model.parameters())


@torch.no_grad()
def test_eager_attention_of_other_layers_is_dropped(tokenizer):
    model = build(tiny_family_config("mpnet", tokenizer))
    route = attention_route(model)
    with recording(model, route, all_layers=False) as records:
        attentions = model(**inputs(tokenizer), output_attentions=True).attentions
    assert [probs.numel() for probs in attentions[:2]] == [0, 0]
    assert [record.probs.shape for record in records] == [(2, 4, 6, 6)]
    assert not any(module._forward_hooks for module in route.modules)


@torch.no_grad()
def test_layers_that_share_their_weights_have_one_module(tokenizer):
    model = build(tiny_family_config("albert", tokenizer))
    assert len(attention_route(model).modules) == 1
    assert len(forward(model, inputs(tokenizer), ["scores"]).scores) == 3


@torch.no_grad()
def test_heads_that_share_keys_and_values(tokenizer):
    sizes = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = EuroBertConfig(vocab_size=len(tokenizer), intermediate_size=64, head_dim=8, pad_token_id=0, **sizes)
    texts = inputs(tokenizer)
    states = forward(build(config), texts, ["attention", "keys"])
    expected = build(config, "eager")(**texts, output_attentions=True).attentions[-1]
    assert states.keys.shape == (2, 4, 6, 8)
    torch.testing.assert_close(states.attention[0], expected[0])


def test_the_route_is_found_once(tokenizer, monkeypatch):
    model = build(tiny_family_config("bert", tokenizer))
    route = attention_route(model)
    monkeypatch.setattr(model, "forward", None)
    assert attention_route(model) is route


def test_finding_it_changes_neither_mode_nor_random_numbers(tokenizer):
    model = build(tiny_family_config("deberta", tokenizer)).train()
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    assert attention_route(model) is not None
    assert model.training
    assert torch.equal(torch.rand(2), expected)
    assert not any(module._forward_hooks for module in model.modules())
    assert model.config._attn_implementation != ATTENTION


def test_convolutions_take_the_place_of_some_heads():
    assert attention_heads(ConvBertConfig(num_attention_heads=12, head_ratio=2)) == 6
    assert attention_heads(ConvBertConfig(num_attention_heads=4, head_ratio=8)) == 1
    assert attention_heads(FNetConfig()) == 0


@pytest.mark.parametrize(
    "probs",
    [
        None,
        torch.full((2, 6, 32), 1 / 6),
        torch.full((2, 4, 6, 8), 1 / 6),
        torch.full((2, 4, 6, 6), 1 / 6),
        torch.full((2, 4, 3, 6), 1 / 6),
    ],
)
def test_what_is_no_attention(probs):
    """The fourth gives padding a share, the others have another shape."""
    assert not sums_to_one(probs, MASK)


def test_rows_of_padding_may_sum_to_anything():
    probs = (MASK / MASK.sum(1, keepdim=True))[:, None, None].repeat(1, 4, 6, 1)
    probs[1, :, 3:] = 7
    assert sums_to_one(probs, MASK)
