"""Encoders of pairs: each text as if it were alone, whatever stands beside it, from torch to ONNX."""

import re

import numpy as np
import pytest
import torch
from helpers.documented import ROOT
from helpers.families import FAMILIES, REFUSED, save_family, tiny_family_config
from transformers import AutoModelForSequenceClassification

from pipeline.compute.batching import collate, encode
from pipeline.errors import InputError
from pipeline.models.families import check_each
from pipeline.models.forward import forward
from pipeline.models.layers import new_classifier, take_layers
from pipeline.models.loading import load_classifier, load_tokenizer
from pipeline.models.pair_encoder import PairEncoderForSequenceClassification, encode_each
from pipeline.models.saving import save_model
from pipeline.models.tokenization import wrap_each_text
from pipeline.serving.conversion import to_onnx
from pipeline.serving.int8 import to_int8
from pipeline.serving.onnx_model import onnx_runner

TEXTS = ["a good film", "the plot is dull and the ending is very , very slow", "!", "this movie"]
OTHERS = ["the cast", "was it a joke ?", "never a boring scene of a good story", "a film"]


@pytest.fixture(params=["bert", "mpnet", "roberta"])
def built(request, tokenizer, tmp_path):
    """A pair encoder of a family with its tokenizer, and the encoder and tokenizer that it was made of."""
    save_family(request.param, tokenizer, tmp_path / "encoder")
    alone = load_tokenizer(tmp_path / "encoder", "model")
    words = load_tokenizer(tmp_path / "encoder", "model")
    torch.manual_seed(0)
    base = load_classifier(tmp_path / "encoder", "model", ["no", "maybe", "yes"])
    model = encode_each(base, wrap_each_text(words, "model"))
    with torch.no_grad():
        model.classifier.weight.normal_(std=0.3)
    return model, words, base.base_model.eval(), alone


def batch_of(tokenizer, texts, pairs, max_length=64):
    return collate(encode(tokenizer, texts, pairs, max_length), range(len(texts)))


def mean_state(encoder, tokenizer, text):
    ids = torch.tensor([tokenizer(text)["input_ids"]])
    return encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0].mean(0)


@torch.no_grad()
def test_one_pass_over_both_is_two_passes(built):
    model, words, encoder, alone = built
    actual = model(**batch_of(words, TEXTS, OTHERS)).logits
    for row, texts in enumerate(zip(TEXTS, OTHERS, strict=True)):
        u, v = (mean_state(encoder, alone, text) for text in texts)
        cosine = torch.cosine_similarity(u, v, dim=0)
        u, v = (vector / vector.norm() * len(vector) ** 0.5 for vector in (u, v))
        expected = model.classifier(torch.cat([cosine[None], (u - v).abs(), u * v]))
        torch.testing.assert_close(actual[row], expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_text_may_hold_the_token_that_ends_it(built):
    model, words, encoder, alone = built
    texts = [f"a good {words.sep_token} film", f"the {words.sep_token} cast"]
    batch = batch_of(words, texts[:1], texts[1:])
    assert (batch["input_ids"] == words.sep_token_id).sum() == 4
    u, v = (mean_state(encoder, alone, text) for text in texts)
    with_cosine = torch.zeros_like(model.classifier.weight)
    with_cosine[:, 0] = 1
    model.classifier.weight.copy_(with_cosine)
    expected = torch.cosine_similarity(u, v, dim=0) + model.classifier.bias
    torch.testing.assert_close(model(**batch).logits[0], expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_neither_padding_nor_batch_mates_matter(built):
    model, words, *_ = built
    together = model(**batch_of(words, TEXTS, OTHERS)).logits
    for row in range(len(TEXTS)):
        single = model(**batch_of(words, TEXTS[row : row + 1], OTHERS[row : row + 1])).logits
        torch.testing.assert_close(together[row : row + 1], single, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_pair_that_is_cut_is_the_pair_of_what_is_left(built):
    model, words, *_ = built
    cut = batch_of(words, ["a good film was this movie"], ["the cast is not a good cast of this film"], 12)
    assert cut["input_ids"].shape == (1, 12)
    ids = cut["input_ids"][0].tolist()
    ends = [at for at, token_id in enumerate(ids) if token_id == model.config.sep_token_id]
    assert len(ends) == 2
    assert ends[1] == 11
    left = [words.decode(part, skip_special_tokens=True) for part in (ids[: ends[0]], ids[ends[0] :])]
    whole = model(**batch_of(words, left[:1], left[1:])).logits
    torch.testing.assert_close(model(**cut).logits, whole, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_saved_model_opens_again_with_its_tokenizer(built, tmp_path):
    model, words, *_ = built
    save_model(model, words, tmp_path / "saved")
    assert b"/" not in (tmp_path / "saved" / "config.json").read_bytes()
    again, its = load_classifier(tmp_path / "saved", "model"), load_tokenizer(tmp_path / "saved", "model")
    assert type(again) is PairEncoderForSequenceClassification
    assert again.config.id2label == {0: "no", 1: "maybe", 2: "yes"}
    expected = model(**batch_of(words, TEXTS, OTHERS)).logits
    torch.testing.assert_close(again(**batch_of(its, TEXTS, OTHERS)).logits, expected)
    assert load_classifier(tmp_path / "saved", "model", ["no", "maybe", "yes"]).config.num_labels == 3


@torch.no_grad()
def test_states_and_attention(built):
    """Attention stays inside a text: a pair's is that of two texts side by side."""
    model, words, *_ = built
    batch = batch_of(words, TEXTS[:1], OTHERS[:1])
    states = forward(model, batch, ["hidden", "attention", "layers"])
    end = batch["input_ids"][0].tolist().index(model.config.sep_token_id) + 1
    torch.testing.assert_close(states.layers[-1], states.hidden)
    assert (states.attention[:, :, :end, end:] == 0).all()
    assert (states.attention[:, :, end:, :end] == 0).all()
    torch.testing.assert_close(states.attention.sum(-1), torch.ones(states.attention.shape[:3]))


@torch.no_grad()
@pytest.mark.parametrize("pick", ["first", "spaced", "ends"])
def test_layers_are_taken_with_the_head(built, pick):
    model, words, *_ = built
    student = take_layers(model, 2, pick, "model")
    assert student.config.num_hidden_layers == 2
    assert model.config.num_hidden_layers == 3
    torch.testing.assert_close(student.classifier.weight, model.classifier.weight)
    assert student(**batch_of(words, TEXTS, OTHERS)).logits.shape == (4, 3)


@torch.no_grad()
def test_onnx_gives_the_same(built, tmp_path):
    model, words, *_ = built
    to_onnx(model, batch_of(words, TEXTS[:2], OTHERS[:2]), tmp_path / "model.onnx")
    to_int8(tmp_path / "model.onnx", tmp_path / "int8.onnx", [batch_of(words, TEXTS[:1], OTHERS[:1])])
    batch = batch_of(words, TEXTS, OTHERS)
    expected = model(**batch).logits.numpy()
    np.testing.assert_allclose(onnx_runner(tmp_path / "model.onnx")(batch), expected, atol=1e-4)
    np.testing.assert_allclose(onnx_runner(tmp_path / "int8.onnx")(batch), expected, atol=0.5)


def test_nothing_has_dropout_and_every_weight_learns(built):
    model, words, *_ = built
    batch = batch_of(words, TEXTS, OTHERS)
    quiet = model(**batch).logits
    loud = model.train()(**batch).logits
    torch.testing.assert_close(loud, quiet)
    loud.square().sum().backward()
    silent = {name for name, weight in model.named_parameters() if weight.grad is None}
    assert all("token_type" in name or "pooler" in name for name in silent)


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - REFUSED))
def test_each_family_can_or_is_refused_as_the_page_says(family, tokenizer):
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    able = re.findall(r"[\w-]+", re.search(r"\(`pairs: each`\) work with (.*?):", page, flags=re.DOTALL)[1])
    if family in able:
        check_each(tiny_family_config(family, tokenizer), "teacher.model", 64)
        return
    expected = (
        f"^teacher.model: pairs is each, but {family} models cannot encode two texts in one row, each by itself; "
        "accepted: pairs: cross, or an encoder such as bert, roberta or mpnet$"
    )
    with pytest.raises(InputError, match=expected):
        check_each(tiny_family_config(family, tokenizer), "teacher.model", 64)


def test_a_tokenizer_that_ends_no_text_is_refused(tokenizer):
    bare = type(tokenizer)(vocab=tokenizer.get_vocab())
    bare.backend_tokenizer.post_processor = None
    with pytest.raises(InputError, match=r"^pairs: got each, but the tokenizer of teacher\.model puts no token "):
        wrap_each_text(bare, "teacher.model")


def test_transformers_opens_it_after_the_import(built, tmp_path):
    model, words, *_ = built
    save_model(model, words, tmp_path / "saved")
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved")
    assert isinstance(again, PairEncoderForSequenceClassification)
    assert new_classifier(again.config).config.num_labels == 3
