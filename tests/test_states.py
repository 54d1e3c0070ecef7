"""A forward pass with the last layer's attention and states, against transformers' own eager attention."""

import copy

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    DistilBertConfig,
    ElectraConfig,
    MPNetConfig,
    RobertaConfig,
)

from pipeline import models
from pipeline.errors import InputError
from pipeline.states import forward

SIZES = {"num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64, "initializer_range": 0.3}
CONFIGS = [
    BertConfig(vocab_size=50, hidden_size=32, **SIZES),
    RobertaConfig(vocab_size=50, hidden_size=32, pad_token_id=0, **SIZES),
    DistilBertConfig(vocab_size=50, dim=32, n_layers=3, n_heads=4, hidden_dim=64, initializer_range=0.3),
    ElectraConfig(vocab_size=50, hidden_size=32, embedding_size=32, **SIZES),
]


def build(config):
    torch.manual_seed(0)
    return AutoModelForSequenceClassification.from_config(copy.deepcopy(config)).eval()


@pytest.fixture(params=CONFIGS, ids=lambda config: config.model_type)
def model(request):
    return build(request.param)


@pytest.fixture
def inputs():
    tokens = torch.tensor([[5, 6, 7, 8, 9, 10], [9, 10, 11, 0, 0, 0], [7, 0, 0, 0, 0, 0]])
    return {"input_ids": tokens, "attention_mask": (tokens > 0).long()}


LENGTHS = [6, 3, 1]


@torch.no_grad()
def test_it_equals_eager_attention(model, inputs):
    plain = model(**inputs).logits
    states = forward(model, inputs)
    model.set_attn_implementation("eager")
    eager = model(**inputs, output_attentions=True, output_hidden_states=True)
    torch.testing.assert_close(states.logits, plain)
    torch.testing.assert_close(states.logits, eager.logits)
    for row, n in enumerate(LENGTHS):
        torch.testing.assert_close(states.hidden[row, :n], eager.hidden_states[-1][row, :n])
        torch.testing.assert_close(states.attention[row, :, :n, :n], eager.attentions[-1][row, :, :n, :n])
        torch.testing.assert_close(states.attention[row, :, :n, :n].sum(-1), torch.ones(4, n))
        assert (states.attention[row, :, :n, n:] == 0).all()


@torch.no_grad()
def test_padding_does_not_matter(model, inputs):
    states = forward(model, inputs)
    for row, n in enumerate(LENGTHS):
        alone = forward(model, {name: tensor[row : row + 1, :n] for name, tensor in inputs.items()})
        torch.testing.assert_close(alone.logits[0], states.logits[row])
        torch.testing.assert_close(alone.hidden[0], states.hidden[row, :n])
        torch.testing.assert_close(alone.attention[0], states.attention[row, :, :n, :n])


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


def test_gradients_equal_those_of_eager_attention(model, inputs):
    real = inputs["attention_mask"].bool()
    entries = (real[:, None, :, None] & real[:, None, None, :]).expand(-1, 4, -1, -1)

    def loss(hidden, attention):
        return hidden[real].square().sum() + attention[entries].square().sum()

    states = forward(model, inputs)
    found = gradients(model, loss(states.hidden, states.attention))
    model.set_attn_implementation("eager")
    eager = model(**inputs, output_attentions=True, output_hidden_states=True)
    wanted = gradients(model, loss(eager.hidden_states[-1], eager.attentions[-1]))
    assert found.keys() == wanted.keys()
    assert any("q" in name and gradient.abs().max() > 0 for name, gradient in found.items())
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_attention_is_given_before_dropout(inputs):
    model = build(
        BertConfig(
            vocab_size=50,
            hidden_size=32,
            attention_probs_dropout_prob=0.9,
            hidden_dropout_prob=0,
            **{**SIZES, "num_hidden_layers": 1},
        )
    )
    quiet = forward(model, inputs)
    noisy = forward(model.train(), inputs)
    torch.testing.assert_close(noisy.attention, quiet.attention)
    assert not torch.allclose(noisy.hidden, quiet.hidden)


@torch.no_grad()
@pytest.mark.parametrize(("hidden", "attention"), [(True, False), (False, True), (False, False)])
def test_what_is_not_wanted_is_not_given(inputs, hidden, attention):
    states = forward(build(CONFIGS[0]), inputs, hidden=hidden, attention=attention)
    assert (states.hidden is not None, states.attention is not None) == (hidden, attention)


@torch.no_grad()
def test_nothing_is_left_behind(model, inputs, tmp_path):
    """After a pass the model answers as before, keeps no hooks, and its saved config names no attention of ours."""
    plain = model(**inputs).logits
    forward(model, inputs)
    assert not model.base_model._forward_hooks
    assert not any(hasattr(module, "keep_attention") for module in model.modules())
    torch.testing.assert_close(model(**inputs).logits, plain)
    with models.quiet():
        model.save_pretrained(tmp_path)
    assert "sdpa_but_last_layer" not in (tmp_path / "config.json").read_text()
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert again.config._attn_implementation == "sdpa"


def test_an_error_in_the_pass_leaves_nothing_behind(inputs):
    model = build(CONFIGS[0])
    with pytest.raises(IndexError):
        forward(model, {"input_ids": torch.tensor([[50]])})
    assert not model.base_model._forward_hooks
    assert not any(hasattr(module, "keep_attention") for module in model.modules())


@torch.no_grad()
def test_a_family_whose_attention_cannot_be_taken(inputs):
    """MPNet computes its attention by itself: no probabilities is an error, not an attention of zeros."""
    model = build(MPNetConfig(vocab_size=50, hidden_size=32, **SIZES))
    with pytest.raises(InputError, match=r"MPNetFor.*objectives\.attention: 0 with cache\.attention: false"):
        forward(model, inputs)
    assert forward(model, inputs, attention=False).hidden.shape == (3, 6, 32)
