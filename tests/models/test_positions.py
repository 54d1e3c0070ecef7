"""The promised length is the longest that runs, in every family."""

import pytest
import torch
from helpers.families import FAMILIES, REFUSED, tiny_family_config
from transformers import BertConfig, EsmConfig, RobertaConfig

from pipeline.models.attention import trying
from pipeline.models.families import small_model
from pipeline.models.layers import new_classifier
from pipeline.models.positions import max_positions

LENGTH = 128
"""What configs name, a multiple of what Reformer and Longformer pad texts to."""


def runs(model, length):
    ids = torch.full((1, length), 5)
    try:
        with trying(model):
            return bool(model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.isfinite().all())
    except (IndexError, RuntimeError):
        return False


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - REFUSED))
def test_the_longest_text_that_runs(family, tokenizer):
    config = tiny_family_config(family, tokenizer)
    config.max_position_embeddings = LENGTH
    model = new_classifier(config)
    # No family takes fewer than it names, but for those in the table before the first position.
    longest = max(length for length in range(LENGTH - 4, LENGTH + 1) if runs(model, length))
    assert max_positions(model, 1000) == longest
    if longest < LENGTH:
        assert max_positions(small_model(config), 1000) == longest


def test_a_family_without_positions_takes_what_its_config_names():
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = EsmConfig(vocab_size=20, pad_token_id=1, mask_token_id=4, position_embedding_type="rotary", **sizes)
    assert max_positions(new_classifier(config), 1000) == config.max_position_embeddings == 1026


@pytest.mark.parametrize("padding", [1, 100, 200])
def test_positions_begin_after_any_padding_token(padding):
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = RobertaConfig(vocab_size=1000, pad_token_id=padding, max_position_embeddings=300, **sizes)
    assert runs(new_classifier(config), 299 - padding)
    assert not runs(new_classifier(config), 300 - padding)
    assert max_positions(small_model(config), 1000) == 299 - padding


def test_trying_changes_no_random_number():
    before = torch.get_rng_state()
    max_positions(small_model(BertConfig(num_hidden_layers=1, hidden_size=24, intermediate_size=24)), 100)
    assert torch.equal(torch.get_rng_state(), before)
