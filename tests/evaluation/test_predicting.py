"""Outputs are in the order of the texts, whatever the batches."""

import numpy as np
import pytest
import torch

from pipeline.data.texts import Texts
from pipeline.evaluation import predicting
from pipeline.evaluation.predicting import outputs, padded_batches, predict
from pipeline.models.loading import load_classifier

NAMES = ["negative", "positive"]


@pytest.fixture
def model(tiny_classifier):
    return load_classifier(str(tiny_classifier), "teacher", NAMES)


@pytest.fixture
def texts():
    rows = [" ".join(["never", "slow", "film"] * (1 + i % 7)) for i in range(40)]
    return Texts([str(i) for i in range(40)], rows, [f"{row} ." for row in rows], np.zeros(40, dtype=np.int64), NAMES)


@pytest.mark.parametrize("tokens", [1, 50, 100000])
def test_each_text_gets_its_own_output(model, tokenizer, texts, tokens, monkeypatch):
    monkeypatch.setattr(predicting, "TOKENS", tokens)
    logits = outputs(model, padded_batches(tokenizer, texts, 64))
    assert logits.shape == (40, 2)
    assert logits.dtype == np.float32
    for i in (0, 7, 39):
        alone = tokenizer(texts.texts[i], texts.pairs[i], return_tensors="pt")
        with torch.no_grad():
            expected = model(**alone).logits[0].numpy()
        np.testing.assert_allclose(logits[i], expected, atol=1e-5)


def test_the_mode_of_the_model_stays(model, tokenizer, texts):
    model.train()
    one, other = (predict(model, tokenizer, texts, 16) for _ in range(2))
    assert model.training
    np.testing.assert_array_equal(one, other)
