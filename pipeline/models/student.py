"""The untrained student f^s: layers of a larger model, a named model, random weights, or a BiLSTM."""

import copy
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoModelForSequenceClassification, BertConfig, PreTrainedModel, PreTrainedTokenizerFast

from pipeline.errors import InputError
from pipeline.models.bilstm import BiLSTMConfig, principal_components
from pipeline.models.compatibility import check_length, check_sizes
from pipeline.models.forward import check_attention
from pipeline.models.layer_map import layer_map
from pipeline.models.loading import load_classifier, load_encoder_config, load_tokenizer
from pipeline.params.schema import Params


def build_student(params: Params, *, teacher: Path | None, labels: list[str], pairs: bool) -> PreTrainedModel:
    """Build the untrained student.

    Args:
        teacher: the fine-tuned teacher's folder; if None, the pretrained encoder `teacher.model` is used instead.
        labels: the classes in order; empty for regression.
        pairs: whether the student reads two texts.

    Raises InputError naming the key if a model cannot be loaded or has fewer layers than student.layers.
    """
    student = params.student
    address, key = _origin(params, teacher)
    with torch.random.fork_rng():
        torch.manual_seed(params.seed)
        if student.init == "fresh":
            return _from_config(fresh_config(params, load_tokenizer(address, key), labels))
        load_encoder_config(address, key)
        model = load_classifier(address, key, labels)
        if student.init == "bilstm":
            return _bilstm(model, load_tokenizer(address, key), labels, pairs=pairs)
        return model if student.init == "pretrained" else take_layers(model, student.layers, student.pick, address)


def load_student_tokenizer(params: Params, *, teacher: Path | None) -> PreTrainedTokenizerFast:
    """Load the tokenizer of the student that `build_student` builds with the same arguments.

    A fresh student and a BiLSTM use the teacher's, a student with a model of its own that model's.
    """
    return load_tokenizer(*_origin(params, teacher))


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
    student = params.student
    teacher = load_encoder_config(params.teacher.model, "teacher.model")
    if params.cache.attention or _compares_heads(params):
        check_attention(teacher, "teacher.model")
    tokenizer = load_tokenizer(params.teacher.model, "teacher.model")
    if student.init in ("teacher", "encoder") and student.model is None:
        _check_layers(student.layers, teacher, params.teacher.model)
    elif student.init == "fresh":
        check_sizes(params.objectives, fresh_config(params, tokenizer, []), teacher)
    elif student.model is not None:
        config = load_encoder_config(student.model, "student.model")
        if student.init == "encoder":
            _check_layers(student.layers, config, student.model)
            config.num_hidden_layers = student.layers
        check_sizes(params.objectives, config, teacher)
        check_length(params.max_length, load_tokenizer(student.model, "student.model"), config, "the student")
        if _compares_heads(params):
            check_attention(config, "student.model")


def _compares_heads(params: Params) -> bool:
    return bool(params.objectives.active(lambda objective: "heads" in objective.equal))


def _check_layers(layers: int, config: Any, address: str | Path) -> None:
    depth = config.num_hidden_layers
    if layers > depth:
        raise InputError(f"student.layers: got {layers}, but {address} has {depth} layers; accepted: 1 to {depth}")


def take_layers(
    model: PreTrainedModel, layers: int, pick: Literal["first", "spaced"], address: str | Path
) -> PreTrainedModel:
    """Copy a classifier's embeddings, some of its layers and its head into a new one.

    In any encoder of transformers, a config with fewer layers makes a model whose weights have the names of the first
    layers; the weights of other layers are renamed to these.

    Args:
        layers: number of layers of the student.
        pick: the first layers, or evenly spaced ones.
        address: the model's address, for errors.

    Raises InputError if the model has fewer layers, or layers that cannot replace each other.
    """
    _check_layers(layers, model.config, address)
    config = copy.deepcopy(model.config)
    config.num_hidden_layers = layers
    if getattr(config, "layer_types", None):
        taken = layer_map(layers, len(config.layer_types)) if pick == "spaced" else range(1, layers + 1)
        config.layer_types = [config.layer_types[layer - 1] for layer in taken]
    student = _from_config(config)
    names = student.state_dict().keys()
    renamed = _spaced_layers(model, layers, address) if pick == "spaced" else {}
    if renamed.keys() - names:
        raise InputError(f"student.pick: {address} has a first layer that is unlike the others; accepted: first")
    weights = model.state_dict() | renamed
    student.load_state_dict({name: weight for name, weight in weights.items() if name in names})
    return student


def _spaced_layers(model: PreTrainedModel, layers: int, address: str | Path) -> dict[str, torch.Tensor]:
    """Weights of evenly spaced layers under the names of the first ones."""
    depth = model.config.num_hidden_layers
    stacks = [
        name for name, module in model.named_modules()
        if isinstance(module, torch.nn.ModuleList) and len(module) == depth
    ]  # fmt: skip
    if len(stacks) != 1:
        raise InputError(f"student.pick: {address} has no list of {depth} layers to pick from; accepted: first")
    weights = model.state_dict()
    renamed: dict[str, torch.Tensor] = {}
    for index, layer in enumerate(layer_map(layers, depth)):
        prefix = f"{stacks[0]}.{layer - 1}."
        renamed |= {
            f"{stacks[0]}.{index}.{name.removeprefix(prefix)}": weight
            for name, weight in weights.items()
            if name.startswith(prefix)
        }
    return renamed


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
    student = _from_config(config)
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


def _from_config(config: Any) -> PreTrainedModel:
    model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)
    return model.eval()
