"""The head's start against numpy's polynomial fit and scikit-learn's discriminant analysis."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from pipeline.data.texts import Texts
from pipeline.evaluation.predicting import predict
from pipeline.models.loading import load_classifier, load_tokenizer
from pipeline.models.pair_encoder import encode_each
from pipeline.models.tokenization import wrap_each_text
from pipeline.training.cosine_start import discriminants, line, start_from_cosine

TEXTS = ["a good film", "the plot is dull", "!", "this movie", "a very funny joke", "the cast", "it was so slow ."]
OTHERS = [
    "a fine movie",
    "was it a joke ?",
    "never a boring scene",
    "this film",
    "the actor",
    "the cast",
    "a good time",
]


def build(folder, labels):
    tokenizer = load_tokenizer(folder, "model")
    torch.manual_seed(0)
    return encode_each(load_classifier(folder, "model", labels), wrap_each_text(tokenizer, "model")), tokenizer


def pairs(labels, names):
    return Texts([str(row) for row in range(len(TEXTS))], TEXTS, OTHERS, np.array(labels), names)


def cosines(model, tokenizer):
    """Of each pair, from the states of one row of tokens, cut at the end of the first text."""
    found = []
    for text, other in zip(TEXTS, OTHERS, strict=True):
        ids = torch.tensor([tokenizer(text, other)["input_ids"]])
        states = []
        hook = model.encoder.register_forward_hook(lambda *call, seen=states: seen.append(call[-1].last_hidden_state))
        with torch.no_grad():
            model(input_ids=ids, attention_mask=torch.ones_like(ids))
        hook.remove()
        end = ids[0].tolist().index(tokenizer.sep_token_id) + 1
        u, v = states[0][0, :end].mean(0), states[0][0, end:].mean(0)
        found.append(float(torch.cosine_similarity(u, v, dim=0)))
    return np.array(found)


def test_answers_have_the_order_of_the_cosine(tiny_encoder):
    model, tokenizer = build(tiny_encoder, [])
    expected = cosines(model, tokenizer)
    labels = expected * 3 + 20 + np.array([0.1, -0.1, 0.2, -0.2, 0.1, 0, -0.1])
    texts = pairs(labels.astype(np.float32), [])
    start_from_cosine(model, tokenizer, texts, 32)
    answers = predict(model, tokenizer, texts, 32)[:, 0]
    assert spearmanr(answers, expected).statistic == pytest.approx(1)
    np.testing.assert_allclose(answers, np.polyval(np.polyfit(expected, labels, 1), expected), atol=1e-3)


def test_classes_are_ordered_by_the_cosine(tiny_encoder):
    model, tokenizer = build(tiny_encoder, ["other", "same"])
    expected = cosines(model, tokenizer)
    texts = pairs((expected > np.median(expected)).astype(np.int64), ["other", "same"])
    start_from_cosine(model, tokenizer, texts, 32)
    logits = predict(model, tokenizer, texts, 32)
    assert spearmanr(logits[:, 1] - logits[:, 0], expected).statistic == pytest.approx(1)


def test_other_models_stay(tiny_classifier):
    model, tokenizer = load_classifier(tiny_classifier, "model"), load_tokenizer(tiny_classifier, "model")
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    start_from_cosine(model, tokenizer, pairs([0, 1, 0, 1, 0, 1, 0], ["negative", "positive"]), 32)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def test_the_line_of_least_squares():
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, 40)
    y = (4 * x + 1 + rng.normal(size=40)).astype(np.float32)
    np.testing.assert_allclose(np.concatenate(line(x, y)), np.polyfit(x, y, 1), rtol=1e-5)
    slope, constant = line(np.full(3, 0.5), np.array([1, 2, 6], dtype=np.float32))
    np.testing.assert_allclose(np.concatenate([slope, constant]), [0, 3])


def test_discriminants_are_scikit_learns():
    rng = np.random.default_rng(2)
    labels = np.repeat([0, 1, 2], 400)
    x = rng.normal(size=1200) * 0.2 + labels * 0.3
    slopes, constants = discriminants(x, labels, 3)
    expected = LinearDiscriminantAnalysis(solver="lsqr").fit(x[:, None], labels).predict_proba(x[:, None])
    logits = x[:, None] * slopes + constants
    probs = np.exp(logits - logits.max(1, keepdims=True))
    np.testing.assert_allclose(probs / probs.sum(1, keepdims=True), expected, atol=2e-3)


def test_a_class_without_a_pair_is_possible():
    slopes, constants = discriminants(np.array([0.1, 0.2, 0.8, 0.9]), np.array([0, 0, 2, 2]), 3)
    assert np.isfinite(np.concatenate([slopes, constants])).all()
    assert slopes[0] < slopes[1] < slopes[2]
