"""The trial of a family before any work: what it refuses, in one line, and what it lets pass."""

import logging

import pytest
import torch
from helpers.families import tiny_family_config
from transformers import BertConfig, ModernBertConfig, NystromformerConfig, XLMRobertaConfig

from pipeline.errors import InputError
from pipeline.models import families
from pipeline.models.families import check_family, warn_of_local_attention
from pipeline.models.forward import forward

ATTENTION = {"attention": ("objectives.attention", "0 with cache.attention: false")}
HIDDEN = {"hidden": ("cache.hidden", "false")}


@pytest.mark.parametrize("family", ["albert", "bert", "deberta-v2", "modernbert", "mpnet", "convbert", "xlm"])
def test_families_with_attention_and_states(family, tokenizer):
    check_family(tiny_family_config(family, tokenizer), "teacher.model", ATTENTION | HIDDEN, 24)


def test_half_precision_is_tried_as_it_is_loaded(tokenizer, monkeypatch):
    """In float32: rounded to bfloat16, the rows of a family's own attention need not sum to one."""
    config, tried = tiny_family_config("xlm", tokenizer), []
    config.dtype = torch.bfloat16

    def watched(model, *inputs):
        tried.append(model.dtype)
        return forward(model, *inputs)

    monkeypatch.setattr(families, "forward", watched)
    check_family(config, "teacher.model", ATTENTION, 24)
    assert set(tried) == {torch.float32}


@pytest.mark.parametrize(
    ("family", "needs", "line"),
    [
        (
            "fnet",
            ATTENTION,
            "teacher.model: fnet models do not show their attention probabilities, which objectives.attention needs; "
            "accepted: objectives.attention: 0 with cache.attention: false, or another family",
        ),
        (
            "funnel",
            HIDDEN,
            "teacher.model: funnel models do not show their hidden states, which cache.hidden needs; "
            "accepted: cache.hidden: false, or another family",
        ),
        (
            "mpnet",
            {"values": ("objectives.relations", "0")},
            "teacher.model: mpnet models do not show their value vectors, which objectives.relations needs; "
            "accepted: objectives.relations: 0, or another family",
        ),
    ],
)
def test_what_a_family_does_not_show(family, needs, line, tokenizer):
    with pytest.raises(InputError) as caught:
        check_family(tiny_family_config(family, tokenizer), "teacher.model", needs, 24)
    assert str(caught.value) == line


@pytest.mark.parametrize("max_length", [24, 64])
def test_a_family_that_takes_texts_of_one_length_only(max_length):
    """Its landmarks are means of segments of exactly 64 tokens."""
    config = NystromformerConfig(hidden_size=32, num_attention_heads=4, num_landmarks=8, segment_means_seq_len=64)
    with pytest.raises(
        InputError, match=r"^student\.model: nystromformer models cannot be run here \(RuntimeError: .*"
    ):
        check_family(config, "student.model", {}, max_length)


def test_settings_of_each_layer_and_large_vocabularies():
    """A family's config, as it is published, is tried without its weights."""
    check_family(ModernBertConfig(), "teacher.model", ATTENTION, 24)
    check_family(XLMRobertaConfig(vocab_size=250_002), "teacher.model", ATTENTION, 24)


@pytest.mark.parametrize(("max_length", "warned"), [(64, False), (256, True)])
def test_local_attention_against_full(caplog, max_length, warned):
    """Its last layer reaches 64 tokens, which in short texts are all."""
    teacher = ModernBertConfig(num_hidden_layers=3)
    with caplog.at_level(logging.WARNING):
        warn_of_local_attention(teacher, BertConfig(), max_length)
        warn_of_local_attention(teacher, teacher, max_length)
        warn_of_local_attention(BertConfig(), BertConfig(), max_length)
    line = (
        "objectives.attention: the last layer of the teacher attends at most 64 tokens away, that of the student to "
        "all tokens; recommended: objectives.attention: 0"
    )
    assert [record.getMessage() for record in caplog.records] == [line] * warned
