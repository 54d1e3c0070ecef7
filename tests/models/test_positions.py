"""The promised length is the longest that runs."""

import pytest
import torch
from transformers import BertConfig, EsmConfig, MPNetConfig, RobertaConfig

from pipeline.models.layers import new_classifier
from pipeline.models.positions import max_positions

SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
SIZES |= {"vocab_size": 20, "max_position_embeddings": 12, "pad_token_id": 1}


@pytest.mark.parametrize(
    "config",
    [
        BertConfig(**SIZES),
        RobertaConfig(**SIZES),
        MPNetConfig(**SIZES),
        EsmConfig(**SIZES, position_embedding_type="absolute", mask_token_id=4),
    ],
    ids=lambda config: config.model_type,
)
def test_one_token_more_is_beyond_the_embeddings(config):
    model, longest = new_classifier(config), max_positions(config, 100)
    ids = torch.full((1, longest), 5)
    assert model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.isfinite().all()
    longer = torch.full((1, longest + 1), 5)
    with pytest.raises((IndexError, RuntimeError)):
        model(input_ids=longer, attention_mask=torch.ones_like(longer))
