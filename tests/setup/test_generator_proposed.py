"""Which models have a masked-LM head, by their config alone as of the hub's, whose weights init does not fetch."""

import pytest
from transformers import BertConfig, ElectraConfig

from pipeline.setup import models

SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 20}


@pytest.mark.parametrize(
    ("config", "architecture", "has_head"),
    [
        (ElectraConfig, "ElectraForPreTraining", False),
        (ElectraConfig, "ElectraForMaskedLM", True),
        (BertConfig, "BertForPreTraining", True),
        (BertConfig, "BertForMaskedLM", True),
        (BertConfig, "BertModel", False),
        (BertConfig, "NoSuchForMaskedLM", False),
    ],
)
def test_a_discriminator_is_no_generator(config, architecture, has_head, tmp_path, monkeypatch):
    monkeypatch.setattr(models, "resolve_model", lambda address, key: str(tmp_path))
    assert models._has_masked_lm_head("someone/model", config(**SIZES, architectures=[architecture])) is has_head
