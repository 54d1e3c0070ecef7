"""Shortcuts give the outputs of the whole pass: a head at some positions, a last layer at its first token."""

import pytest
import torch
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    BertConfig,
    CamembertConfig,
    DistilBertConfig,
    ElectraConfig,
    MPNetConfig,
    RobertaConfig,
    XLMRobertaConfig,
)

from pipeline.models.forward import forward
from pipeline.models.forward_shortcuts import FIRST_TOKEN_FAMILIES, head_only_at, last_layer_first_token_only

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
CONFIGS = [
    BertConfig(vocab_size=50, **SIZES),
    RobertaConfig(vocab_size=50, pad_token_id=0, **SIZES),
    DistilBertConfig(vocab_size=50, dim=16, n_layers=2, n_heads=2, hidden_dim=32),
]


@pytest.fixture(params=CONFIGS, ids=lambda config: config.model_type)
def model(request):
    torch.manual_seed(0)
    return AutoModelForMaskedLM.from_config(request.param).eval()


@pytest.fixture
def inputs():
    tokens = torch.tensor([[5, 6, 7, 8], [9, 10, 0, 0]])
    return {"input_ids": tokens, "attention_mask": (tokens > 0).long()}


@torch.no_grad()
def test_the_head_sees_these_positions_only(model, inputs):
    full = model(**inputs).logits
    positions = torch.tensor([[False, True, True, False], [True, False, False, False]])
    with head_only_at(model, positions):
        actual = model(**inputs).logits
    assert actual.shape == (3, 50)
    torch.testing.assert_close(actual, full[positions])


@torch.no_grad()
def test_after_the_block_the_head_sees_every_position(model, inputs):
    full = model(**inputs).logits
    with pytest.raises(RuntimeError, match="on purpose"), head_only_at(model, torch.zeros(2, 4).bool()):
        raise RuntimeError("on purpose")
    torch.testing.assert_close(model(**inputs).logits, full)


@torch.no_grad()
def test_no_position_gives_no_logits(model, inputs):
    with head_only_at(model, torch.zeros(2, 4).bool()):
        assert model(**inputs).logits.shape == (0, 50)


def test_gradients_flow_through_the_positions(model, inputs):
    positions = torch.tensor([[False, True, False, False], [False, False, False, False]])
    with head_only_at(model, positions):
        model(**inputs).logits.sum().backward()
    embedded = model.get_input_embeddings().weight.grad
    assert embedded[[5, 6, 7, 8]].abs().sum(1).gt(0).all()


FAMILIES = {
    config.model_type: config
    for config in (
        *CONFIGS,
        CamembertConfig(vocab_size=50, pad_token_id=0, **SIZES),
        ElectraConfig(vocab_size=50, embedding_size=16, **SIZES),
        MPNetConfig(vocab_size=50, pad_token_id=0, **SIZES),
        XLMRobertaConfig(vocab_size=50, pad_token_id=0, **SIZES),
    )
}


@torch.no_grad()
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_last_layer_of_the_first_token_gives_the_same_logits(family, inputs):
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(FAMILIES[family]).eval()
    full = model(**inputs)
    states = []
    model.base_model.register_forward_hook(lambda _module, _inputs, output: states.append(output.last_hidden_state))
    with last_layer_first_token_only(model):
        torch.testing.assert_close(model(**inputs).logits, full.logits)
    model(**inputs)
    assert [output.shape[1] for output in states] == [1 if family in {*FIRST_TOKEN_FAMILIES, "mpnet"} else 4, 4]
    assert set(FIRST_TOKEN_FAMILIES) < set(FAMILIES)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_pass_of_which_only_logits_are_read_computes_no_more_and_has_the_same_gradients(family, inputs):
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(FAMILIES[family]).eval()
    passes, lengths, gradients = [], [], []
    model.base_model.register_forward_hook(lambda _module, _inputs, output: passes.append(output[0].shape[1]))
    for states in ([], ["attention"], ["hidden"], ["layers"]):
        model.zero_grad()
        forward(model, inputs, states).logits.square().sum().backward()
        # Those before it found out how the family shows its attention.
        lengths.append(passes[-1])
        gradients.append({name: weight.grad for name, weight in model.named_parameters()})
    first = 4 if family == "distilbert" else 1
    assert lengths == [first, first, 4, 4]
    for each in gradients[1:]:
        torch.testing.assert_close(each, gradients[0], atol=1e-6, rtol=1e-4)
