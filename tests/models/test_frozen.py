"""The frozen part of an encoder: not trained, without dropout, and replaced by what it has computed."""

import pytest
import torch
from helpers.families import FAMILIES, REFUSED, tiny_family_config
from transformers import BertForSequenceClassification, MPNetConfig, MPNetForSequenceClassification

from pipeline.errors import InputError
from pipeline.models.attention import sample_inputs
from pipeline.models.frozen import freeze, layer_states, returning
from pipeline.models.layers import new_classifier
from pipeline.models.loading import load_classifier
from pipeline.params.models import Fit
from pipeline.training.optimizer import adamw


@pytest.fixture
def model(tiny_classifier):
    return load_classifier(tiny_classifier, "teacher")


def changed(model, frozen):
    """Names of the weights that a step of AdamW changes."""
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    model.train()
    frozen.eval()
    optimizer = adamw(model, Fit(learning_rate=0.1, weight_decay=0.5))
    model(**sample_inputs(model)).logits.square().sum().backward()
    optimizer.step()
    assert len(optimizer.state) <= sum(weight.requires_grad for weight in model.parameters())
    return {name for name, weight in model.named_parameters() if not torch.equal(weight, before[name])}


def test_only_the_layers_above_are_trained(model):
    frozen = freeze(model, 2, "teacher.frozen")
    names = changed(model, frozen)
    assert {name.split(".")[3] for name in names if ".layer." in name} == {"2"}
    assert {"bert.pooler.dense.weight", "classifier.weight"} <= names
    assert not [name for name in names if "embeddings" in name]
    # The weights that are not trained have no state in the optimizer, and no weight decay.
    assert {name for name, weight in model.named_parameters() if weight.requires_grad} >= names


def test_no_gradient_goes_through_the_frozen_part(model):
    frozen = freeze(model, 2, "teacher.frozen")
    model.train()
    frozen.eval()
    inputs = []
    frozen.layers[-1].register_forward_hook(lambda _module, _inputs, output: inputs.append(output))
    model(**sample_inputs(model))
    output = inputs[0][0] if isinstance(inputs[0], tuple) else inputs[0]
    assert not output.requires_grad


def test_the_frozen_part_has_no_dropout_and_the_rest_has(saved):
    model = load_classifier(saved(BertForSequenceClassification, hidden_dropout_prob=0.5), "teacher")
    frozen = freeze(model, 2, "teacher.frozen")
    inputs = sample_inputs(model)
    model.train()
    frozen.eval()
    one, same = (layer_states(model, frozen, inputs) for _ in range(2))
    assert torch.equal(one, same)
    assert not torch.equal(model(**inputs).logits, model(**inputs).logits)
    assert model.classifier.training
    assert model.bert.encoder.layer[2].attention.training
    assert not model.bert.embeddings.training


def test_a_bias_that_all_layers_share_is_frozen():
    config = MPNetConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=16
    )
    model = MPNetForSequenceClassification(config)
    names = changed(model, freeze(model, 1, "teacher.frozen"))
    assert not [name for name in names if "relative_attention_bias" in name]
    assert {name.split(".")[3] for name in names if ".layer." in name} == {"1", "2"}


def test_known_states_stand_in_for_the_layers(model):
    frozen = freeze(model, 2, "teacher.frozen")
    model.eval()
    inputs = sample_inputs(model)
    expected = model(**inputs).logits
    above = []
    hook = model.base_model.encoder.layer[2].register_forward_hook(lambda *_: above.append(True))
    states = layer_states(model, frozen, inputs)
    assert not above
    hook.remove()
    with returning(frozen, states):
        assert torch.equal(model(**inputs).logits, expected)
    with returning(frozen, torch.zeros_like(states)):
        assert not torch.allclose(model(**inputs).logits, expected)
    assert torch.equal(model(**inputs).logits, expected)


def test_more_layers_than_there_are(model):
    with pytest.raises(InputError, match=r"^teacher\.frozen: got 4, but the model has 3 layers; accepted: 0 to 3$"):
        freeze(model, 4, "teacher.frozen")


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - REFUSED))
def test_every_family_is_frozen_or_refused_in_one_line(family, tokenizer):
    config = tiny_family_config(family, tokenizer)
    model = new_classifier(config)
    stacks = [part for part in model.base_model.modules() if isinstance(part, torch.nn.ModuleList)]
    if sum(len(stack) == getattr(config, "num_hidden_layers", 0) for stack in stacks) != 1:
        with pytest.raises(
            InputError, match=rf"^teacher\.frozen: got 1, but {family} models have no list of their layers"
        ):
            freeze(model, 1, "teacher.frozen")
        return
    frozen = freeze(model, 1, "teacher.frozen")
    names = changed(model, frozen)
    inside = {id(weight) for module in frozen.modules for weight in module.parameters()}
    weights = dict(model.named_parameters())
    assert names
    assert not [name for name in names if id(weights[name]) in inside]
    assert id(model.get_input_embeddings().weight) in inside
