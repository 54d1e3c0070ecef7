"""CBERT: the words that fill a mask depend on the label."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import BertForMaskedLM, DistilBertConfig, DistilBertForMaskedLM

from pipeline.augment.filler import Filler
from pipeline.augment.methods import cbert
from pipeline.augment.methods.cbert import Labels, fine_tune_on_labels
from pipeline.augment.neighbour import Neighbour
from pipeline.augment.originals import encode_originals
from pipeline.data.texts import Texts
from pipeline.errors import InputError

PRAISE = ["good", "great", "fine", "warm", "funny", "clever", "lovely"]
BLAME = ["bad", "poor", "dull", "cold", "slow", "awful", "boring"]


@pytest.fixture
def originals(tokenizer, reviews):
    texts = reviews(120, 5)
    labels = [texts.names[label] for label in texts.labels]
    return encode_originals(texts.ids, texts.texts, None, labels, tokenizer, max_length=32, side="both")


def test_a_flipped_label_changes_what_fills_a_mask(tiny_masked_lm, tokenizer, originals, make_params, monkeypatch):
    """Words of praise are in positive texts only, and so they are at the masks."""
    monkeypatch.setattr(cbert, "EPOCHS", 40)
    monkeypatch.setattr(cbert, "LEARNING_RATE", 0.003)
    labels = Labels(Texts([], [], None, np.zeros(0, dtype=np.int64), ["negative", "positive"]))
    model = BertForMaskedLM.from_pretrained(tiny_masked_lm)
    fine_tune_on_labels(model, tokenizer, labels.condition(originals), labels, 1)
    filler = Filler(model, tokenizer, make_params())
    position = next(i for i, word in enumerate(originals[0].words) if originals[0].word_text(word) in PRAISE + BLAME)
    both = labels.condition([replace(originals[0], label=label) for label in labels.names])
    unfilled = [Neighbour(each, 1, [position], [0.5], 0.0, 0.0) for each in both]
    with torch.no_grad():
        negative, positive = filler.distributions(unfilled).exp()
    praise = tokenizer.convert_tokens_to_ids(PRAISE)
    blame = tokenizer.convert_tokens_to_ids(BLAME)
    assert positive[praise].sum() > 1.5 * positive[blame].sum()
    assert negative[blame].sum() > 1.5 * negative[praise].sum()


def test_more_labels_than_segments(tiny_masked_lm, tokenizer, originals):
    names = ["negative", "positive", "neither"]
    labels = Labels(Texts([], [], None, np.zeros(0, dtype=np.int64), names))
    model = BertForMaskedLM.from_pretrained(tiny_masked_lm)
    before = model.bert.embeddings.token_type_embeddings.weight.detach().clone()
    fine_tune_on_labels(model, tokenizer, labels.condition(originals[:8]), labels, 1)
    assert model.bert.embeddings.token_type_embeddings.weight.shape == (3, before.shape[1])
    assert labels.index("neither") == 2
    assert labels.index("something else") == 0


def test_numbers_are_quintiles():
    labels = Labels(Texts([], [], None, np.linspace(0, 1, 101).astype(np.float32), []))
    assert labels.count == 5
    assert [labels.index(value) for value in (0.0, 0.1, 0.3, 0.5, 0.7, 0.99)] == [0, 0, 1, 2, 3, 4]


def test_a_model_without_segments(tokenizer, originals):
    config = DistilBertConfig(vocab_size=len(tokenizer), dim=16, n_layers=1, n_heads=2, hidden_dim=16)
    labels = Labels(Texts([], [], None, np.zeros(0, dtype=np.int64), ["negative", "positive"]))
    with pytest.raises(InputError, match="cbert needs a masked language model with segments"):
        fine_tune_on_labels(DistilBertForMaskedLM(config), tokenizer, originals, labels, 1)
