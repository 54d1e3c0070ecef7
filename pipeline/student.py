"""f^s before it learns: the first layers of a larger model, a named model, or random weights."""

import copy
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, BertConfig, PreTrainedModel, PreTrainedTokenizerFast

from pipeline import models
from pipeline.agreement import check_heads, check_length, check_vocabulary
from pipeline.errors import InputError
from pipeline.params import Params
from pipeline.states import check_attention


def build_student(params: Params, *, teacher: Path | None, labels: list[str]) -> PreTrainedModel:
    """Make the untrained student with a head for `labels`, or for a number if there are none.

    Args:
        teacher: the fine-tuned teacher's folder. Without it, first layers come from the encoder the teacher came from.

    Raises InputError naming the key if a model cannot be loaded or has fewer layers than student.layers.
    """
    given = params.student
    address, key = _origin(params, teacher)
    with torch.random.fork_rng():
        torch.manual_seed(params.seed)
        if given.init == "fresh":
            return _from_config(fresh_config(params, models.load_tokenizer(address, key), labels))
        whole = models.load_classifier(address, key, labels)
        return whole if given.init == "pretrained" else first_layers(whole, given.layers, address)


def load_student_tokenizer(params: Params, *, teacher: Path | None) -> PreTrainedTokenizerFast:
    """Load the tokenizer that goes with `build_student` of the same arguments; a fresh student takes the teacher's."""
    return models.load_tokenizer(*_origin(params, teacher))


def _origin(params: Params, teacher: Path | None) -> tuple[str | Path, str]:
    """Where the student's tokenizer and, unless it is fresh, weights come from: address and key."""
    if params.student.model is not None:
        return params.student.model, "student.model"
    if teacher is not None and params.student.init in ("teacher", "fresh"):
        return teacher, "teacher"
    return params.teacher.model, "teacher.model"


def check_student(params: Params) -> None:
    """Raise InputError if the student cannot be made of the models named, or not taught by a teacher of that model.

    Only configs and tokenizers are read: for the first stage that has models at all.
    """
    given = params.student
    taught = models.load_encoder_config(params.teacher.model, "teacher.model")
    if params.cache.attention:
        check_attention(taught, "teacher.model")
    tokenizer = models.load_tokenizer(params.teacher.model, "teacher.model")
    if given.init in ("teacher", "encoder"):
        _check_layers(given.layers, taught, params.teacher.model)
    elif given.init == "fresh":
        check_heads(params.objectives, fresh_config(params, tokenizer, []), taught)
    elif given.model is not None:
        config = models.load_encoder_config(given.model, "student.model")
        own = models.load_tokenizer(given.model, "student.model")
        check_vocabulary(params.objectives, own, tokenizer)
        check_heads(params.objectives, config, taught)
        check_length(params.max_length, own, config, "student")
        if params.objectives.attention:
            check_attention(config, "student.model")


def _check_layers(layers: int, config: Any, address: str | Path) -> None:
    deepest = config.num_hidden_layers
    if layers > deepest:
        raise InputError(f"student.layers: got {layers}, but {address} has {deepest} layers; accepted: 1 to {deepest}")


def first_layers(whole: PreTrainedModel, layers: int, address: str | Path) -> PreTrainedModel:
    """Copy a classifier's embeddings, first layers and head into a new one.

    A smaller config makes a model whose weights bear the names of the first layers, in any encoder of transformers.

    Raises InputError if `address`, the model's name in the error, has fewer layers.
    """
    _check_layers(layers, whole.config, address)
    config = copy.deepcopy(whole.config)
    config.num_hidden_layers = layers
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:layers]
    student = _from_config(config)
    wanted = student.state_dict().keys()
    student.load_state_dict({name: weight for name, weight in whole.state_dict().items() if name in wanted})
    return student


def fresh_config(params: Params, tokenizer: PreTrainedTokenizerFast, labels: list[str]) -> BertConfig:
    """Describe a BERT of the sizes in `params.student` over the tokenizer's vocabulary."""
    config = BertConfig(
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        hidden_size=params.student.hidden,
        num_hidden_layers=params.student.layers,
        num_attention_heads=params.student.heads,
        intermediate_size=params.student.intermediate,
        max_position_embeddings=max(512, params.max_length),
    )
    names: dict[int, str] = dict(enumerate(labels)) if labels else {0: "LABEL_0"}
    config.id2label = names
    config.label2id = {name: index for index, name in names.items()}
    config.problem_type = "single_label_classification" if labels else "regression"
    return config


def _from_config(config: Any) -> PreTrainedModel:
    model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)
    return model.eval()
