"""The BiLSTM student against an LSTM that reads each text alone, and its embeddings against scikit-learn's PCA."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from scipy.spatial.distance import pdist
from sklearn.decomposition import PCA
from transformers import AutoModelForSequenceClassification

from pipeline.compute.batching import collate, encode
from pipeline.errors import InputError
from pipeline.models.bilstm import BiLSTMConfig, BiLSTMForSequenceClassification, principal_components
from pipeline.models.loading import load_classifier, parameter_count, quiet

TEXTS = ["a good film", "the plot is dull and the ending is very , very slow", "!", "this movie"]
OTHERS = ["the cast", "was it a joke ?", "never a boring scene of a good story", "a film"]


def build(tokenizer, **changes):
    torch.manual_seed(0)
    sizes = {"embedding_size": 12, "lstm_size": 5, "hidden_size": 7, "num_labels": 3}
    tokens = {"pad_token_id": tokenizer.pad_token_id, "sep_token_id": tokenizer.sep_token_id}
    config = BiLSTMConfig(vocab_size=len(tokenizer), **{**sizes, **tokens, **changes})
    model = AutoModelForSequenceClassification.from_config(config).eval()
    # Weights as large as those of a model that has learned something.
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.5)
    return model


def read(model, ids):
    """The last states of both directions for one text: of the one that reads backwards, at the first token."""
    states, _ = model.lstm(model.embeddings(torch.as_tensor(ids)))
    return torch.cat([states[-1, :5], states[0, 5:]])


def answer(model, features):
    return model.classifier(torch.relu(model.dense(features)))


def batch_of(tokenizer, texts, pairs=None):
    return collate(encode(tokenizer, texts, pairs, 64), range(len(texts)))


@torch.no_grad()
def test_each_text_is_read_as_if_alone_and_unpadded(tokenizer):
    model = build(tokenizer)
    actual = model(**batch_of(tokenizer, TEXTS)).logits
    assert actual.shape == (4, 3)
    for row, text in enumerate(TEXTS):
        torch.testing.assert_close(actual[row], answer(model, read(model, tokenizer(text)["input_ids"])))


@torch.no_grad()
@given(st.integers(0, 100), st.integers(3, 9), st.integers(0, 6), st.booleans())
def test_padding_is_the_same_as_nothing(tokenizer, seed, tokens, more, pairs):
    model = build(tokenizer, pairs=pairs)
    rng = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, 90, (1, tokens + more), generator=rng)
    ids[0, [tokens // 2, tokens - 1]] = tokenizer.sep_token_id
    mask = (torch.arange(tokens + more) < tokens).long()[None]
    cut = model(ids[:, :tokens], mask[:, :tokens]).logits
    torch.testing.assert_close(model(ids, mask).logits, cut)


def features(model, batch):
    """The input of the dense layer, cut into its four parts."""
    seen = []
    hook = model.dense.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    model(**batch)
    hook.remove()
    return seen[0].unflatten(1, (4, 10)).unbind(1)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["tokenizer", "byte_level"])
def test_features_of_pairs(request, kind):
    """[h1; h2; |h1 − h2|; h1 · h2], each text read up to its separator, without the tokens before it."""
    words = request.getfixturevalue(kind)
    model = build(words, pairs=True)
    one, two, apart, product = features(model, batch_of(words, TEXTS, OTHERS))
    end = [words.sep_token_id]
    for row, (text, other) in enumerate(zip(TEXTS, OTHERS, strict=True)):
        ids, others = (words(string, add_special_tokens=False)["input_ids"] for string in (text, other))
        torch.testing.assert_close(one[row], read(model, ids + end))
        torch.testing.assert_close(two[row], read(model, others + end))
    torch.testing.assert_close(apart, abs(one - two))
    torch.testing.assert_close(product, one * two)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["tokenizer", "byte_level"])
def test_the_order_of_two_texts(request, kind):
    """Swapped texts swap h1 and h2 and leave the rest; equal texts are no distance apart."""
    words = request.getfixturevalue(kind)
    model = build(words, pairs=True)
    one, two, apart, product = features(model, batch_of(words, TEXTS, OTHERS))
    swapped = features(model, batch_of(words, OTHERS, TEXTS))
    for actual, expected in zip(swapped, (two, one, apart, product), strict=True):
        torch.testing.assert_close(actual, expected)
    assert apart.abs().max() > 0.1
    same = features(model, batch_of(words, TEXTS, TEXTS))
    torch.testing.assert_close(same[2], torch.zeros(4, 10))
    torch.testing.assert_close(same[3], same[0].square())


@torch.no_grad()
def test_a_text_of_nothing_in_a_pair(tokenizer):
    """Of an empty text the separator is read, first or second."""
    model = build(tokenizer, pairs=True)
    one, two, *_ = features(model, batch_of(tokenizer, ["", "a film", ""], ["the plot", "", ""]))
    nothing = read(model, [tokenizer.sep_token_id])
    for actual in (one[0], two[1], one[2], two[2]):
        torch.testing.assert_close(actual, nothing)


@torch.no_grad()
@pytest.mark.parametrize("pairs", [False, True])
def test_a_saved_model_opens_in_transformers(tokenizer, tmp_path, pairs):
    model = build(tokenizer, pairs=pairs, problem_type="single_label_classification")
    with quiet():
        model.save_pretrained(tmp_path)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert isinstance(again, BiLSTMForSequenceClassification)
    assert again.config.to_diff_dict() == model.config.to_diff_dict()
    batch = batch_of(tokenizer, TEXTS, OTHERS if pairs else None)
    torch.testing.assert_close(again(**batch).logits, model(**batch).logits)


def test_dropout_in_training_alone(tokenizer):
    model, batch = build(tokenizer), batch_of(tokenizer, TEXTS)
    quiet = model(**batch).logits
    torch.testing.assert_close(model(**batch).logits, quiet)
    assert (model.train()(**batch).logits - quiet).abs().max() > 0.01


def test_every_weight_learns(tokenizer):
    model = build(tokenizer, pairs=True)
    model(**batch_of(tokenizer, TEXTS, OTHERS)).logits.square().sum().backward()
    assert all(weight.grad.abs().max() > 0 for weight in model.parameters())
    assert (model.embeddings.weight.grad[tokenizer.pad_token_id] == 0).all()


@pytest.mark.parametrize(("pairs", "features"), [(False, 300), (True, 1200)])
def test_sizes_of_the_paper_s_model(pairs, features):
    """Four gates in two directions, each 300 + 150 weights and two biases a unit, over BERT's words."""
    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(BiLSTMConfig(pairs=pairs))
    lstm = 2 * 4 * 150 * (300 + 150 + 2)
    assert parameter_count(model) == 30522 * 300 + lstm + (features + 1) * 200 + 201 * 2


@given(st.integers(0, 50), st.integers(2, 40), st.integers(1, 8), st.integers(0, 5))
def test_all_components_keep_all_distances(seed, words, width, more):
    rng = np.random.default_rng(seed)
    embeddings = torch.from_numpy(rng.normal(3, 1, (words, width)))
    actual = principal_components(embeddings, width + more)
    assert actual.shape == (words, width + more)
    assert (actual[:, width:] == 0).all()
    np.testing.assert_allclose(pdist(actual), pdist(embeddings), atol=1e-8)
    np.testing.assert_allclose(actual.mean(0), 0, atol=1e-8)


@pytest.mark.parametrize("size", [1, 3, 6])
def test_components_are_the_principal_ones(size):
    """As scikit-learn has them, but for the sign of each."""
    scales = np.array([5.0, 4, 3, 2, 1, 0.5])
    embeddings = np.random.default_rng(0).normal(1, scales, (50, 6)) @ np.linalg.qr(np.vander(range(1, 7)))[0]
    actual = principal_components(torch.from_numpy(embeddings), size).numpy()
    expected = PCA(size).fit_transform(embeddings)
    np.testing.assert_allclose(abs(actual), abs(expected), atol=1e-8)


def test_weights_that_are_not_all_there(tokenizer, tmp_path):
    with quiet():
        build(tokenizer, num_labels=2).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["lstm.weight_hh_l0"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"student: .* 1 weights of the encoder .*lstm\.weight_hh_l0"):
        load_classifier(tmp_path, "student", ["no", "yes"])
