"""Tokenizers that are opened for a model, whatever class and inputs their folder names."""

import io
import json

import numpy as np
import pytest
import sentencepiece
import torch
from helpers.tiny_tokenizers import SENTENCES, tiny_tokenizer
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import (
    AlbertConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    MPNetConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
    XLMRobertaConfig,
)

from pipeline.compute.batching import collate, encode
from pipeline.data.texts import Texts
from pipeline.errors import InputError
from pipeline.evaluation.predicting import predict
from pipeline.models.loading import load_classifier, load_tokenizer, quiet
from pipeline.models.saving import save_model
from pipeline.models.student import build_student, load_student_tokenizer
from pipeline.models.tokenization import match_token_types

FIRST, SECOND = ["the film is good", "a joke"], ["it was never slow", "the plot of this story is dull ."]
SIZES = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64}


def save_as(folder, model, tokenizer, **settings):
    """A model with a tokenizer.json and this tokenizer_config.json; none if it has no settings."""
    with quiet():
        model.save_pretrained(folder)
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    if settings:
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def by_hand(tokenizer, model, first, second):
    """Logits of one pair, its segments counted from its separators."""
    end = tokenizer.convert_tokens_to_ids("[SEP]")
    ids = torch.tensor([tokenizer(first, second)["input_ids"]])
    separators = (ids == end).cumsum(1)
    types = ((separators > 1) | ((separators == 1) & (ids != end))).long()
    with torch.no_grad():
        return model(input_ids=ids, token_type_ids=types).logits[0].numpy()


@pytest.mark.parametrize("kind", ["PreTrainedTokenizerFast", "BertTokenizer", "RobertaTokenizer-inputs", "bare"])
def test_a_bert_reads_the_segments_of_a_pair_whatever_its_tokenizer_s_class(kind, tiny_classifier, tokenizer, tmp_path):
    model = load_classifier(tiny_classifier, "x")
    model.bert.embeddings.token_type_embeddings.weight.data.mul_(20)
    settings = {
        "PreTrainedTokenizerFast": {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]"},
        "BertTokenizer": {"tokenizer_class": "BertTokenizer"},
        "RobertaTokenizer-inputs": {
            "tokenizer_class": "BertTokenizer",
            "model_input_names": ["input_ids", "attention_mask"],
        },
        "bare": {},
    }[kind]
    folder = save_as(tmp_path / "model", model, tokenizer, **settings)
    opened = load_tokenizer(folder, "x")
    logits = predict(model, opened, Texts([], FIRST, SECOND, np.zeros(2), ["negative", "positive"]), 32)
    expected = [by_hand(tokenizer, model, *pair) for pair in zip(FIRST, SECOND, strict=True)]
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    # A folder saved from it says so to transformers as well.
    save_model(model, opened, tmp_path / "again")
    types = AutoTokenizer.from_pretrained(tmp_path / "again")(FIRST[0], SECOND[0])["token_type_ids"]
    assert types == tokenizer(FIRST[0], SECOND[0])["token_type_ids"]
    assert sum(types) == len(tokenizer(SECOND[0])["input_ids"]) - 1


@pytest.mark.parametrize(
    "config",
    [
        RobertaConfig(**SIZES, type_vocab_size=1, pad_token_id=0, max_position_embeddings=66),
        DistilBertConfig(dim=32, n_layers=1, n_heads=4, hidden_dim=64),
        MPNetConfig(**SIZES, pad_token_id=0),
    ],
    ids=lambda config: config.model_type,
)
def test_a_model_without_segments_reads_pairs_with_a_tokenizer_that_gives_them(config, tokenizer, tmp_path):
    config.vocab_size = len(tokenizer)
    model = AutoModelForSequenceClassification.from_config(config).eval()
    folder = save_as(tmp_path, model, tokenizer, tokenizer_class="BertTokenizer")
    opened = load_tokenizer(folder, "x")
    encoded = encode(opened, FIRST, SECOND, 32)
    assert encoded.token_type_ids is None
    texts = Texts([], FIRST, SECOND, np.zeros(2), ["negative", "positive"])
    logits = predict(load_classifier(folder, "x"), opened, texts, 32)
    for pair, row in zip(zip(FIRST, SECOND, strict=True), logits, strict=True):
        ids = torch.tensor([tokenizer(*pair)["input_ids"]])
        with torch.no_grad():
            np.testing.assert_allclose(row, model(ids, torch.ones_like(ids)).logits[0], atol=1e-5)


def test_a_fresh_student_reads_segments_under_a_teacher_that_has_none(tokenizer, make_params, tmp_path):
    config = DistilBertConfig(dim=32, n_layers=1, n_heads=4, hidden_dim=64, vocab_size=len(tokenizer))
    model = AutoModelForSequenceClassification.from_config(config)
    folder = save_as(tmp_path / "teacher", model, tokenizer, tokenizer_class="BertTokenizer")
    params = make_params(
        teacher={"model": str(folder)},
        student={"init": "fresh", "layers": 1, "hidden": 32, "heads": 4, "intermediate": 64},
    )
    student = build_student(params, teacher=folder, labels=["negative", "positive"], pairs=True)
    own = load_student_tokenizer(params, teacher=folder)
    batch = collate(encode(own, FIRST, SECOND, 16), [0, 1])
    assert batch["token_type_ids"].sum() > 0
    # Opened again from where it is saved, it gives the same.
    save_model(student, own, tmp_path / "student")
    again = collate(encode(load_tokenizer(tmp_path / "student", "x"), FIRST, SECOND, 16), [0, 1])
    assert all(torch.equal(values, again[name]) for name, values in batch.items())


def test_types_are_those_of_the_tokenizer_s_own_template():
    """RoBERTa's gives 0 throughout, whatever the model could tell apart."""
    given = tiny_tokenizer("roberta")
    own = PreTrainedTokenizerFast(tokenizer_object=given.backend_tokenizer, pad_token="<pad>")
    match_token_types(own, BertConfig())
    assert set(np.concatenate(encode(own, FIRST, SECOND, 32).token_type_ids)) == {0}


CASED = "The Film wasn't café-like"


def cased(tokenizer, folder, tiny_classifier, **settings):
    """A BERT whose tokenizer.json keeps capitals, accents and hyphenated words, which its class does not."""
    pieces = tokenizer.get_vocab()
    for piece in ("The", "Film", "wasn't", "café-like"):
        pieces[piece] = len(pieces)
    backend = Tokenizer(models.WordPiece(pieces, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.post_processor = tokenizer.backend_tokenizer.post_processor
    model = load_classifier(tiny_classifier, "x")
    model.resize_token_embeddings(len(pieces))
    return save_as(folder, model, PreTrainedTokenizerFast(tokenizer_object=backend), **settings), backend


def test_the_file_decides_and_not_the_class_of_the_family(tokenizer, tiny_classifier, tmp_path, caplog):
    folder, backend = cased(tokenizer, tmp_path / "model", tiny_classifier, tokenizer_class="BertTokenizer")
    opened = load_tokenizer(folder, "teacher.model")
    assert opened.tokenize(CASED) == ["The", "Film", "wasn't", "café-like"]
    assert AutoTokenizer.from_pretrained(folder).tokenize(CASED) != opened.tokenize(CASED)
    assert opened(CASED, "a joke")["token_type_ids"] == backend.encode(CASED, "a joke").type_ids
    assert (opened.pad_token, opened.mask_token) == ("[PAD]", "[MASK]")
    assert "teacher.model: BertTokenizer would cut " in caplog.text
    # What is saved from it serves the same, without transformers and with it.
    save_model(load_classifier(folder, "x"), opened, tmp_path / "again")
    assert Tokenizer.from_file(str(tmp_path / "again" / "tokenizer.json")).encode(CASED).ids == opened(CASED).input_ids
    assert AutoTokenizer.from_pretrained(tmp_path / "again")(CASED) == opened(CASED)


def test_a_file_that_asks_for_padding_and_truncation_keeps_its_class(tokenizer, tiny_classifier, tmp_path, caplog):
    """As those of published sentence encoders do."""
    folder = save_as(
        tmp_path, load_classifier(str(tiny_classifier), "teacher"), tokenizer, tokenizer_class="BertTokenizer"
    )
    own = Tokenizer.from_file(str(folder / "tokenizer.json"))
    own.enable_padding(length=128, pad_id=tokenizer.pad_token_id)
    own.enable_truncation(128)
    own.save(str(folder / "tokenizer.json"))
    opened = load_tokenizer(str(folder), "teacher")
    assert (type(opened).__name__, caplog.text) == ("BertTokenizer", "")
    assert opened(FIRST)["input_ids"] == tokenizer(FIRST)["input_ids"]


def test_another_program_s_model_file_is_no_tokenizer(tokenizer, tiny_classifier, tmp_path):
    folder = save_as(tmp_path, load_classifier(str(tiny_classifier), "teacher"), tokenizer)
    (folder / "tokenizer.json").unlink()
    vocabulary = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    (folder / "crf.model").write_bytes(b"\x99 not protobuf")
    assert load_tokenizer(str(folder), "teacher")(FIRST)["input_ids"] == tokenizer(FIRST)["input_ids"]


def test_a_setting_that_contradicts_the_file_is_an_error(tokenizer, tiny_classifier, tmp_path):
    folder, _ = cased(tokenizer, tmp_path / "m", tiny_classifier, tokenizer_class="BertTokenizer", do_lower_case=True)
    with pytest.raises(InputError, match=r"^x: do_lower_case: true of tokenizer_config.json in .* is not that of its"):
        load_tokenizer(folder, "x")


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("spm.model", DebertaV2Config(vocab_size=90)),
        ("spiece.model", AlbertConfig(vocab_size=90)),
        ("sentencepiece.bpe.model", XLMRobertaConfig(vocab_size=90)),
    ],
)
def test_a_sentencepiece_model_alone_cuts_as_sentencepiece_does(name, config, tmp_path):
    fixed = {
        "spm.model": {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3, "pad_piece": "[PAD]"}
        | {"bos_piece": "[CLS]", "eos_piece": "[SEP]", "unk_piece": "[UNK]"},
        "spiece.model": {"pad_id": 0, "unk_id": 1, "bos_id": -1, "eos_id": -1}
        | {"control_symbols": ["[CLS]", "[SEP]", "[MASK]"], "normalization_rule_name": "nmt_nfkc_cf"},
        "sentencepiece.bpe.model": {},
    }[name]
    file = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*SENTENCES, "and so on... 2 x2"] * 20),
        model_writer=file,
        vocab_size=70,
        hard_vocab_limit=False,
        minloglevel=2,
        **fixed,
    )
    (tmp_path / name).write_bytes(file.getvalue())
    with quiet():
        config.save_pretrained(tmp_path)
    save_file({}, tmp_path / "model.safetensors")
    original = sentencepiece.SentencePieceProcessor(model_proto=file.getvalue())
    opened = load_tokenizer(tmp_path, "x")
    for text in ("The film… is x² good", "a ｗａｒｍ ﬁlm, not dull!"):
        tokens = original.encode(text, out_type=str)
        assert opened.tokenize(text) == tokens
        assert opened.unk_token_id not in opened(text)["input_ids"]
    # Saved by us, its class would drop the rules again.
    opened.save_pretrained(tmp_path / "again")
    config.save_pretrained(tmp_path / "again")
    save_file({}, tmp_path / "again" / "model.safetensors")
    assert load_tokenizer(tmp_path / "again", "x").tokenize("The film… x²") == opened.tokenize("The film… x²")
