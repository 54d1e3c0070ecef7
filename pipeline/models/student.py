"""The untrained student f^s: layers of a larger model, a named model, random weights, or a BiLSTM."""

from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig, PreTrainedModel, PreTrainedTokenizerFast

from pipeline.errors import InputError
from pipeline.models.bilstm import BiLSTMConfig, principal_components
from pipeline.models.compatibility import check_length, check_sizes
from pipeline.models.families import (
    check_conversion,
    check_each,
    check_family,
    student_needs,
    teacher_needs,
    warn_of_local_attention,
)
from pipeline.models.ids import check_ids
from pipeline.models.label_scale import UNSCALED, LabelScale
from pipeline.models.layers import OTHERS, check_layers, cut_config, new_classifier, take_layers
from pipeline.models.loading import load_classifier, load_config, load_encoder_config, load_tokenizer
from pipeline.models.pair_encoder import MODEL_TYPE as PAIRS
from pipeline.models.pair_encoder import encode_each
from pipeline.models.pooling import check_mean_pooling, with_mean_pooling
from pipeline.models.tokenization import match_token_types, wrap_each_text
from pipeline.params.schema import Params


def build_student(
    params: Params, *, teacher: Path | None, labels: list[str], pairs: bool, scale: LabelScale = UNSCALED
) -> PreTrainedModel:
    """Build the untrained student.

    Args:
        teacher: the fine-tuned teacher's folder; if None, the pretrained encoder `teacher.model` is used instead.
        labels: the classes in order; empty for regression.
        pairs: whether the student reads two texts.
        scale: of a regression's labels: a new head answers in their unit.

    Raises InputError naming the key if a model cannot be loaded or has fewer layers than student.layers.
    """
    student = params.student
    address, key = _origin(params, teacher)
    each = params.encodes_each and student.init != "bilstm"
    with torch.random.fork_rng():
        torch.manual_seed(params.seed)
        if student.init == "fresh":
            model = new_classifier(fresh_config(params, load_tokenizer(address, key), labels))
        else:
            paired = load_config(address, key).model_type == PAIRS
            if not paired:
                load_encoder_config(address, key)
            model = load_classifier(address, key, labels, scale, head=paired or not each)
        if each and model.config.model_type != PAIRS:
            model = encode_each(model, wrap_each_text(load_tokenizer(address, key), key))
        if student.init == "bilstm":
            model = _bilstm(model, load_tokenizer(address, key), labels, pairs=pairs)
        if student.init in ("fresh", "bilstm"):
            scale.put_into_head(model)
        if student.init in ("teacher", "encoder"):
            model = take_layers(model, student.layers, student.pick, address)
        return with_mean_pooling(model) if student.pooling == "mean" and not each else model


def load_student_tokenizer(params: Params, *, teacher: Path | None) -> PreTrainedTokenizerFast:
    """Load the tokenizer of the student that `build_student` builds with the same arguments.

    A fresh student and a BiLSTM use the teacher's, a student with a model of its own that model's.
    """
    address, key = _origin(params, teacher)
    if params.encodes_each and params.student.init == "bilstm":
        # It tells two texts apart by one separator.
        return load_tokenizer(params.teacher.model, "teacher.model")
    tokenizer = load_tokenizer(address, key)
    if params.encodes_each:
        wrap_each_text(tokenizer, key)
    if params.student.init == "fresh":
        match_token_types(tokenizer, fresh_config(params, tokenizer, []))
    return tokenizer


def _origin(params: Params, teacher: Path | None) -> tuple[str | Path, str]:
    """The model that provides the student's tokenizer and, unless it is fresh, its weights: address and key."""
    if params.student.model is not None:
        return params.student.model, "student.model"
    if teacher is not None and params.student.init in ("teacher", "fresh", "bilstm"):
        return teacher, "teacher"
    return params.teacher.model, "teacher.model"


def check_student(params: Params) -> None:
    """Raise InputError if the student cannot be built from its model, or cannot learn from this teacher.

    Reads configs and tokenizers only, so that the first stage that uses models can check it.
    """
    student, objectives = params.student, params.objectives
    teacher = load_encoder_config(params.teacher.model, "teacher.model")
    check_family(teacher, "teacher.model", teacher_needs(params), params.max_length)
    if params.encodes_each:
        check_each(teacher, "teacher.model", params.max_length)
        wrap_each_text(load_tokenizer(params.teacher.model, "teacher.model"), "teacher.model")
    if student.init == "bilstm":
        return
    if student.init == "fresh":
        config = fresh_config(params, load_tokenizer(params.teacher.model, "teacher.model"), [])
    elif student.model is None:
        check_layers(teacher, student.layers, student.pick, params.teacher.model)
        check_conversion(teacher, "student.init", OTHERS)
        config = cut_config(teacher, student.layers, student.pick)
    else:
        config = load_encoder_config(student.model, "student.model")
        check_family(config, "student.model", student_needs(params), params.max_length)
        if params.encodes_each:
            check_each(config, "student.model", params.max_length)
        check_conversion(config, "student.model", "accepted: another family")
        if student.init == "encoder":
            check_layers(config, student.layers, student.pick, student.model)
            config = cut_config(config, student.layers, student.pick)
        tokenizer = load_tokenizer(student.model, "student.model")
        check_ids(tokenizer, config, "student.model")
        if params.encodes_each:
            wrap_each_text(tokenizer, "student.model")
        check_length(params.max_length, tokenizer, config, "the student")
    if student.pooling == "mean" and not params.encodes_each:
        check_mean_pooling(config)
    check_sizes(objectives, config, teacher)
    if objectives.attention:
        warn_of_local_attention(teacher, config, params.max_length)


def _bilstm(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, labels: list[str], *, pairs: bool
) -> PreTrainedModel:
    """A BiLSTM whose word embeddings are initialised with the principal components of another model's.

    Raises InputError if texts are pairs and the tokenizer has no separator between them.
    """
    if pairs and tokenizer.sep_token_id is None:
        raise InputError("student.init: got bilstm, but the teacher's tokenizer has no separator between two texts")
    config = BiLSTMConfig(
        vocab_size=model.config.vocab_size,
        pairs=pairs,
        pad_token_id=tokenizer.pad_token_id,
        sep_token_id=tokenizer.sep_token_id,
    )
    _name_labels(config, labels)
    student = new_classifier(config)
    with torch.no_grad():
        embeddings = student.get_input_embeddings().weight
        embeddings.copy_(principal_components(model.get_input_embeddings().weight, config.embedding_size))
        embeddings[config.pad_token_id] = 0
    return student


def fresh_config(params: Params, tokenizer: PreTrainedTokenizerFast, labels: list[str]) -> BertConfig:
    """The config of a BERT with the sizes in `params.student` and the tokenizer's vocabulary."""
    config = BertConfig(
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        hidden_size=params.student.hidden,
        num_hidden_layers=params.student.layers,
        num_attention_heads=params.student.heads,
        intermediate_size=params.student.intermediate,
        max_position_embeddings=max(512, params.max_length),
    )
    _name_labels(config, labels)
    return config


def _name_labels(config: Any, labels: list[str]) -> None:
    names: dict[int, str] = dict(enumerate(labels)) if labels else {0: "LABEL_0"}
    config.id2label = names
    config.label2id = {name: index for index, name in names.items()}
    config.problem_type = "single_label_classification" if labels else "regression"
