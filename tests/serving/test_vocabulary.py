"""A vocabulary that is cut: the same logits on seen texts, letters for unseen words."""

import numpy as np
import pytest
import torch
from transformers import BertForSequenceClassification

from pipeline.compute.batching import collate, encode
from pipeline.errors import InputError
from pipeline.models.loading import load_classifier
from pipeline.models.saving import save_model
from pipeline.serving.runtime import open_folder
from pipeline.serving.torch_model import torch_runner
from pipeline.serving.vocabulary import cut_vocabulary, used_pieces

CPU = torch.device("cpu")
SEEN = ["the film is good , very good .", "a dull plot !"]
UNSEEN = "the joke was awful"


@pytest.fixture
def whole(tiny_classifier):
    return load_classifier(tiny_classifier, "student")


def test_seen_texts_have_the_same_logits_in_fewer_rows(whole, tiny_classifier, tokenizer, tmp_path):
    small, known = cut_vocabulary(load_classifier(tiny_classifier, "student"), tokenizer, used_pieces(tokenizer, SEEN))
    letters = 26 + 26 + sum(len(piece) == 1 for piece in ",.!?")
    words = {word for text in SEEN for word in text.split()} - set(",.!a")
    assert len(known) == 5 + letters + len(words)
    assert small.get_input_embeddings().weight.shape == (len(known), 32)
    batches = [collate(encode(each, SEEN, None, 32), [0, 1]) for each in (tokenizer, known)]
    np.testing.assert_array_equal(torch_runner(whole, CPU)(batches[0]), torch_runner(small, CPU)(batches[1]))
    save_model(small, known, tmp_path / "small")
    reloaded = open_folder(tmp_path / "small", "student")
    np.testing.assert_array_equal(reloaded.run(batches[1]), torch_runner(small, CPU)(batches[1]))
    assert reloaded.tokenizer(SEEN)["input_ids"] == known(SEEN)["input_ids"]


def test_unseen_words_are_split_into_letters_and_none_becomes_unknown(whole, tokenizer):
    _, known = cut_vocabulary(whole, tokenizer, used_pieces(tokenizer, SEEN))
    assert tokenizer.tokenize(UNSEEN) == ["the", "joke", "was", "awful"]
    assert known.tokenize(UNSEEN)[:5] == ["the", "j", "##o", "##k", "##e"]
    assert "[UNK]" not in known.tokenize(UNSEEN)
    assert known.tokenize("film 北")[-1] == tokenizer.tokenize("北")[-1] == "[UNK]"


def test_special_tokens_keep_their_positions(whole, tokenizer):
    small, known = cut_vocabulary(whole, tokenizer, used_pieces(tokenizer, SEEN))
    for text in (SEEN[0], ""):
        before = tokenizer.convert_ids_to_tokens(tokenizer(text, "a plot")["input_ids"])
        assert known.convert_ids_to_tokens(known(text, "a plot")["input_ids"]) == before
    assert known.pad_token_id == tokenizer.pad_token_id == small.config.pad_token_id
    assert known.mask_token == tokenizer.mask_token
    assert known.model_input_names == tokenizer.model_input_names


def test_other_kinds_of_tokenizers_are_refused(saved, byte_level):
    model = load_classifier(saved(BertForSequenceClassification), "student")
    with pytest.raises(InputError, match=r"export\.vocabulary: got seen, but the student's tokenizer is BPE"):
        cut_vocabulary(model, byte_level, set())


def test_pieces_of_a_stream_are_those_of_all_at_once(tokenizer, monkeypatch):
    monkeypatch.setattr("pipeline.serving.vocabulary.CHUNK", 1)
    every = {piece for text in SEEN for piece in tokenizer(text, add_special_tokens=False)["input_ids"]}
    assert used_pieces(tokenizer, iter(SEEN)) == every
