"""Models that do not fit each other: the error names both sizes and what is accepted."""

import copy
import logging

import pytest
import torch
from transformers import BertConfig, DistilBertConfig, RobertaConfig, RobertaForMaskedLM

from pipeline.errors import InputError
from pipeline.models.compatibility import (
    check_labels,
    check_length,
    check_sizes,
    check_words,
)
from pipeline.params.objectives import Objectives


def test_attention_needs_equal_heads():
    student, teacher = BertConfig(num_attention_heads=4, hidden_size=32), DistilBertConfig(n_heads=12)
    check_sizes(Objectives(), teacher, BertConfig())
    check_sizes(Objectives(attention=0), student, teacher)
    with pytest.raises(InputError, match=r"student has 4 .* heads and the teacher 12; .*objectives\.attention: 0"):
        check_sizes(Objectives(), student, teacher)


def alone(name):
    """Objectives with only this loss switched on."""
    return Objectives(**{"attention": 0, "hidden": 0, "dark": 0, name: 1})


HEADS = {"attention", "scores"}
WIDTH = {"cosine", "patience"}
LAYERS = {"patience", "scores", "layers"}
OTHERS = {"hidden", "dark", "hard", "logits", "masked_lm", "relations"}


@pytest.mark.parametrize(
    ("sizes", "names", "expected"),
    [
        (
            {"num_attention_heads": 2},
            HEADS,
            "the student has 2 attention heads and the teacher 4; accepted: equal numb",
        ),
        (
            {"hidden_size": 16},
            WIDTH,
            "the student has 16 hidden units and the teacher 32; accepted: equal numbers, or",
        ),
        (
            {"num_hidden_layers": 7},
            LAYERS,
            "the student has 7 layers and the teacher 6; accepted: no more than the tea",
        ),
        (
            {"num_hidden_layers": 1},
            {"patience"},
            "the student has one layer, and this loss trains the layers below the last; acc",
        ),
        ({"num_hidden_layers": 6}, set(), None),
    ],
)
def test_objectives_that_need_like_sizes(sizes, names, expected):
    teacher = BertConfig(num_attention_heads=4, hidden_size=32, num_hidden_layers=6)
    student = BertConfig(**{"num_attention_heads": 4, "hidden_size": 32, "num_hidden_layers": 3, **sizes})
    for name in sorted(HEADS | WIDTH | LAYERS | OTHERS):
        if name in names:
            with pytest.raises(InputError, match=rf"^objectives\.{name}: {expected}.* objectives\.{name}: 0(;|$)"):
                check_sizes(alone(name), student, teacher)
        else:
            check_sizes(alone(name), student, teacher)


def test_texts_longer_than_the_model_takes(tokenizer):
    check_length(64, tokenizer, BertConfig(max_position_embeddings=64), "teacher")
    with pytest.raises(InputError, match="max_length: got 65, but teacher takes 64 tokens; accepted: 8 to 64"):
        check_length(65, tokenizer, BertConfig(max_position_embeddings=512), "teacher")
    with pytest.raises(InputError, match="takes 32 tokens"):
        check_length(33, tokenizer, BertConfig(max_position_embeddings=32), "teacher")


def test_roberta_numbers_positions_after_its_padding_id(byte_level):
    """The longest text that the model itself takes is the longest that is accepted."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = RobertaConfig(vocab_size=len(byte_level), pad_token_id=1, max_position_embeddings=34, **sizes)
    model = RobertaForMaskedLM(config).eval()
    check_length(32, byte_level, config, "teacher")
    with torch.inference_mode():
        model(torch.full((1, 32), 5))
        with pytest.raises(RuntimeError, match="out of bounds"):
            model(torch.full((1, 33), 5))
    with pytest.raises(InputError, match="takes 32 tokens; accepted: 8 to 32"):
        check_length(33, byte_level, config, "teacher")


def test_texts_of_another_script(tokenizer):
    check_words(tokenizer, ["the good film 😀 😀", "a bad one"], "teacher.model: x")
    with pytest.raises(InputError) as caught:
        check_words(tokenizer, ["это хорошо", "😀 good"], "teacher.model: x")
    assert str(caught.value) == (
        "teacher.model: x: its vocabulary has 1 of the 4 words and signs in the target's training texts; "
        "accepted: a model of the language and script they are in"
    )


def test_texts_longer_than_the_model_takes_are_no_reason_for_a_warning(tokenizer, caplog):
    short = copy.deepcopy(tokenizer)
    short.model_max_length = 2
    logger = logging.getLogger("transformers")
    logger.addHandler(caplog.handler)
    try:
        check_words(short, ["the good film was never a bad one"], "teacher.model: x")
        assert not caplog.records
        short(["the good film was never a bad one"])
        assert caplog.records
    finally:
        logger.removeHandler(caplog.handler)


def test_classes_in_another_order():
    config = BertConfig(id2label={0: "no", 1: "yes"}, label2id={"no": 0, "yes": 1})
    check_labels(config, ["no", "yes"], "student")
    check_labels(BertConfig(num_labels=1), [], "student")
    with pytest.raises(InputError, match="student: its classes are no, yes; the prepared texts have yes, no"):
        check_labels(config, ["yes", "no"], "student")
    with pytest.raises(InputError, match="student: its classes are no, yes; the prepared texts have numbers"):
        check_labels(config, [], "student")
