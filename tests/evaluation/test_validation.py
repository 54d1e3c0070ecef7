"""The score on the validation set, against predictions of transformers and metrics of sklearn and scipy."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss, r2_score
from transformers import BertForSequenceClassification

from pipeline.data.texts import Texts, read_texts
from pipeline.evaluation.validation import Score, Validation
from pipeline.models.loading import load_classifier


@torch.no_grad()
def logits_of(model, tokenizer, texts):
    """One text at a time, without padding."""
    inputs = [tokenizer(text, truncation=True, max_length=16, return_tensors="pt") for text in texts]
    return torch.cat([model(**each).logits for each in inputs]).double()


def test_the_score_of_a_classifier(tiny_classifier, tokenizer, uneven):
    model = load_classifier(tiny_classifier, "teacher").eval()
    texts = read_texts(uneven / "validation.parquet")
    logits = logits_of(model, tokenizer, texts.texts)
    score = Validation(texts, tokenizer, 16).score(model)
    assert score.metric == accuracy_score(texts.labels, logits.argmax(1))
    assert 0 < score.metric < 1
    assert -score.minus_loss == pytest.approx(log_loss(texts.labels, logits.softmax(1)), rel=1e-5)


@pytest.fixture
def numbers(uneven):
    texts = read_texts(uneven / "validation.parquet")
    labels = np.array([len(text) / 10 for text in texts.texts], np.float32)
    return Texts(texts.ids, texts.texts, None, labels, [])


def test_the_score_of_a_regression(saved, tokenizer, numbers):
    model = load_classifier(saved(BertForSequenceClassification), "teacher", []).eval()
    outputs = logits_of(model, tokenizer, numbers.texts)[:, 0].numpy()
    score = Validation(numbers, tokenizer, 16).score(model)
    assert score.metric == pytest.approx(r2_score(numbers.labels, outputs), abs=1e-5)
    assert -score.minus_loss == pytest.approx(np.mean((numbers.labels - outputs) ** 2), rel=1e-5)


def test_of_equal_labels_the_loss_alone_decides(saved, tokenizer, numbers):
    model = load_classifier(saved(BertForSequenceClassification), "teacher", []).eval()
    equal = replace(numbers, labels=np.ones_like(numbers.labels))
    score = Validation(equal, tokenizer, 16).score(model)
    assert score.metric == -1.0
    assert math.isfinite(score.minus_loss)


@pytest.mark.parametrize("training", [True, False])
def test_a_score_leaves_the_model_as_it_was(tiny_classifier, tokenizer, uneven, training):
    model = load_classifier(tiny_classifier, "teacher").train(training)
    validation = Validation(read_texts(uneven / "validation.parquet"), tokenizer, 16)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    state = torch.get_rng_state()
    # Dropout is off while it is scored.
    assert validation.score(model) == validation.score(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training == training
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def test_of_equal_metrics_the_lower_loss_is_better():
    assert Score(0.8, -0.9) > Score(0.7, -0.1)
    assert Score(0.8, -0.3) > Score(0.8, -0.4)
    assert not Score(0.8, -0.3) > Score(0.8, -0.3)
