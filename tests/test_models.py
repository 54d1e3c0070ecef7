"""The head of a masked language model, asked at a few positions only."""

import pytest
import torch
from transformers import AutoModelForMaskedLM, BertConfig, DistilBertConfig, RobertaConfig

from pipeline import models

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
    with models.head_only_at(model, positions):
        found = model(**inputs).logits
    assert found.shape == (3, 50)
    torch.testing.assert_close(found, full[positions])


@torch.no_grad()
def test_outside_the_head_sees_everything(model, inputs):
    full = model(**inputs).logits
    with pytest.raises(RuntimeError, match="on purpose"), models.head_only_at(model, torch.zeros(2, 4).bool()):
        raise RuntimeError("on purpose")
    torch.testing.assert_close(model(**inputs).logits, full)


@torch.no_grad()
def test_no_position_gives_no_logits(model, inputs):
    with models.head_only_at(model, torch.zeros(2, 4).bool()):
        assert model(**inputs).logits.shape == (0, 50)


def test_gradients_flow_through_the_positions(model, inputs):
    positions = torch.tensor([[False, True, False, False], [False, False, False, False]])
    with models.head_only_at(model, positions):
        model(**inputs).logits.sum().backward()
    embedded = model.get_input_embeddings().weight.grad
    assert embedded[[5, 6, 7, 8]].abs().sum(1).gt(0).all()
