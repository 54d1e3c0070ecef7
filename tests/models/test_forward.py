"""A forward pass that returns attention and states of the last or all layers, against eager attention."""

import copy

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    DistilBertConfig,
    ElectraConfig,
    FNetConfig,
    MPNetConfig,
    RobertaConfig,
)

from pipeline.errors import InputError
from pipeline.models import attention as attention_module
from pipeline.models.attention import ATTENTION
from pipeline.models.forward import forward
from pipeline.models.loading import quiet

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
BOTH = ["hidden", "attention"]


@torch.no_grad()
def test_it_equals_eager_attention(model, inputs):
    plain = model(**inputs).logits
    states = forward(model, inputs, BOTH)
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
    states = forward(model, inputs, BOTH)
    for row, n in enumerate(LENGTHS):
        alone = forward(model, {name: tensor[row : row + 1, :n] for name, tensor in inputs.items()}, BOTH)
        torch.testing.assert_close(alone.logits[0], states.logits[row])
        torch.testing.assert_close(alone.hidden[0], states.hidden[row, :n])
        torch.testing.assert_close(alone.attention[0], states.attention[row, :, :n, :n])


@torch.no_grad()
def test_all_layers_are_transformers_own(model, inputs):
    plain = model(**inputs)
    states = forward(model, inputs, ["layers"])
    model.set_attn_implementation("eager")
    eager = model(**inputs, output_hidden_states=True).hidden_states
    assert len(states.layers) == len(eager) == 4
    torch.testing.assert_close(states.logits, plain.logits)
    for row, n in enumerate(LENGTHS):
        for actual, expected in zip(states.layers, eager, strict=True):
            torch.testing.assert_close(actual[row, :n], expected[row, :n])


@torch.no_grad()
def test_scores_of_all_layers_are_what_the_softmax_is_of(model, inputs):
    """Padding's columns left out, they make each layer's eager attention."""
    states = forward(model, inputs, ["scores", "attention"])
    model.set_attn_implementation("eager")
    eager = model(**inputs, output_attentions=True).attentions
    assert len(states.scores) == len(eager) == 3
    # Those of padding are as finite as others: differences of them may be multiplied by 0.
    assert all(scores.abs().max() < 1000 for scores in states.scores)
    for row, n in enumerate(LENGTHS):
        for actual, expected in zip(states.scores, eager, strict=True):
            torch.testing.assert_close(actual[row, :, :n, :n].softmax(-1), expected[row, :, :n, :n])
        torch.testing.assert_close(states.attention[row, :, :n, :n], eager[-1][row, :, :n, :n])


@torch.no_grad()
@pytest.mark.parametrize("all_layers", [False, True])
def test_values_are_the_last_layer_s(model, inputs, all_layers):
    """They are the output of its value projection, and weighted by its attention the input of its output projection."""
    named = dict(model.named_modules())
    (projection,) = [name for name in named if name.endswith(("2.attention.self.value", "2.attention.v_lin"))]
    (output,) = [name for name in named if name.endswith(("2.attention.output.dense", "2.attention.out_lin"))]
    recorded = {}
    hooks = [
        named[projection].register_forward_hook(lambda _module, _inputs, output: recorded.update(value=output)),
        named[output].register_forward_hook(lambda _module, inputs, _output: recorded.update(context=inputs[0])),
    ]
    # With hidden states the last layer is computed for all tokens.
    states = forward(model, inputs, ["values", "attention", "hidden", *(["scores"] if all_layers else [])])
    for hook in hooks:
        hook.remove()
    assert states.values.shape == (3, 4, 6, 8)
    torch.testing.assert_close(states.values, recorded["value"].unflatten(-1, (4, 8)).transpose(1, 2))
    mixed = (states.attention @ states.values).transpose(1, 2).flatten(2)
    for row, n in enumerate(LENGTHS):
        torch.testing.assert_close(mixed[row, :n], recorded["context"][row, :n])


@torch.no_grad()
def test_padding_does_not_matter_to_values_scores_and_layers(model, inputs):
    kinds = ["values", "scores", "layers"]
    states = forward(model, inputs, kinds)
    for row, n in enumerate(LENGTHS):
        alone = forward(model, {name: tensor[row : row + 1, :n] for name, tensor in inputs.items()}, kinds)
        torch.testing.assert_close(alone.values[0], states.values[row, :, :n])
        for actual, expected in zip(alone.scores, states.scores, strict=True):
            torch.testing.assert_close(actual[0], expected[row, :, :n, :n])
        for actual, expected in zip(alone.layers, states.layers, strict=True):
            torch.testing.assert_close(actual[0], expected[row, :n])


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


def test_gradients_equal_those_of_eager_attention(model, inputs):
    real = inputs["attention_mask"].bool()
    entries = (real[:, None, :, None] & real[:, None, None, :]).expand(-1, 4, -1, -1)

    def loss(hidden, attention):
        return hidden[real].square().sum() + attention[entries].square().sum()

    states = forward(model, inputs, BOTH)
    actual = gradients(model, loss(states.hidden, states.attention))
    model.set_attn_implementation("eager")
    eager = model(**inputs, output_attentions=True, output_hidden_states=True)
    expected = gradients(model, loss(eager.hidden_states[-1], eager.attentions[-1]))
    assert actual.keys() == expected.keys()
    assert any("q" in name and gradient.abs().max() > 0 for name, gradient in actual.items())
    for name, gradient in expected.items():
        torch.testing.assert_close(actual[name], gradient, rtol=1e-3, atol=1e-4)


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
    quiet = forward(model, inputs, BOTH)
    noisy = forward(model.train(), inputs, BOTH)
    torch.testing.assert_close(noisy.attention, quiet.attention)
    assert not torch.allclose(noisy.hidden, quiet.hidden)


@torch.no_grad()
@pytest.mark.parametrize(
    "requested", [[], ["hidden"], ["attention"], ["values"], ["layers"], ["scores"], ["hidden", "values"]]
)
def test_only_the_states_requested_are_returned(inputs, requested):
    states = forward(build(CONFIGS[0]), inputs, requested)
    kinds = ("hidden", "attention", "values", "layers", "scores")
    assert [kind for kind in kinds if len(getattr(states, kind))] == requested


@torch.no_grad()
@pytest.mark.parametrize(("all_layers", "recorded"), [(False, 1), (True, 3)])
def test_the_fused_kernel_is_used_in_layers_not_recorded(inputs, monkeypatch, all_layers, recorded):
    fused = []
    kernel = attention_module.sdpa_attention_forward

    def count(module, *tensors, **options):
        fused.append(module)
        return kernel(module, *tensors, **options)

    monkeypatch.setattr(attention_module, "sdpa_attention_forward", count)
    forward(build(CONFIGS[0]), inputs, ["attention", *(["scores"] if all_layers else [])])
    assert len(fused) == 3 - recorded


@torch.no_grad()
def test_the_model_is_unchanged_after_a_pass(model, inputs, tmp_path):
    """It gives the same logits, has no hooks, and its saved config does not name the recording attention."""
    plain = model(**inputs).logits
    forward(model, inputs, [*BOTH, "scores", "layers"])
    assert not model.base_model._forward_hooks
    assert not any(hasattr(module, "record_attention") for module in model.modules())
    torch.testing.assert_close(model(**inputs).logits, plain)
    with quiet():
        model.save_pretrained(tmp_path)
    assert ATTENTION not in (tmp_path / "config.json").read_text()
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert again.config._attn_implementation == "sdpa"


def test_the_model_is_unchanged_after_an_error(inputs):
    model = build(CONFIGS[0])
    with pytest.raises(IndexError):
        forward(model, {"input_ids": torch.tensor([[50]])}, BOTH)
    assert not model.base_model._forward_hooks
    assert not any(hasattr(module, "record_attention") for module in model.modules())


@torch.no_grad()
def test_a_family_whose_attention_cannot_be_taken(inputs):
    """FNet has none: no probabilities is an error, not an attention of zeros."""
    model = build(FNetConfig(vocab_size=50, hidden_size=32, num_hidden_layers=3, intermediate_size=64))
    with pytest.raises(InputError, match=r"^fnet models do not show their attention probabilities$"):
        forward(model, inputs, BOTH)
    assert forward(model, inputs, ["hidden"]).hidden.shape == (3, 6, 32)


@torch.no_grad()
def test_a_family_with_attention_of_its_own_shows_probabilities_alone(inputs):
    model = build(MPNetConfig(vocab_size=50, hidden_size=32, **SIZES))
    assert forward(model, inputs, ["attention"]).attention.shape == (3, 4, 6, 6)
    with pytest.raises(InputError, match=r"^mpnet models do not show their value vectors$"):
        forward(model, inputs, ["values"])
