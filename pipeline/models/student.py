"""f^s before it learns: layers of a larger model, a named model, random weights, or a BiLSTM."""

import copy
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoModelForSequenceClassification, BertConfig, PreTrainedModel, PreTrainedTokenizerFast

from pipeline.errors import InputError
from pipeline.models.bilstm import BiLSTMConfig, principal_components
from pipeline.models.compatibility import check_length, check_sizes, check_vocabulary
from pipeline.models.forward import check_attention
from pipeline.models.layer_map import layer_map
from pipeline.models.loading import load_classifier, load_encoder_config, load_tokenizer
from pipeline.params.objectives import BY_HEAD
from pipeline.params.schema import Params


def build_student(params: Params, *, teacher: Path | None, labels: list[str], pairs: bool) -> PreTrainedModel:
    """Make the untrained student with a head for `labels`, or for a number if there are none.

    Args:
        teacher: the fine-tuned teacher's folder. Without it, what is taken of it comes from the encoder it came from.
        pairs: whether it is to read two texts.

    Raises InputError naming the key if a model cannot be loaded or has fewer layers than student.layers.
    """
    given = params.student
    address, key = _origin(params, teacher)
    with torch.random.fork_rng():
        torch.manual_seed(params.seed)
        if given.init == "fresh":
            return _from_config(fresh_config(params, load_tokenizer(address, key), labels))
        load_encoder_config(address, key)
        whole = load_classifier(address, key, labels)
        if given.init == "bilstm":
            return _bilstm(whole, load_tokenizer(address, key), labels, pairs=pairs)
        return whole if given.init == "pretrained" else take_layers(whole, given.layers, given.pick, address)


def load_student_tokenizer(params: Params, *, teacher: Path | None) -> PreTrainedTokenizerFast:
    """Load the tokenizer that goes with `build_student` of the same arguments.

    A fresh student or a BiLSTM takes the teacher's.
    """
    return load_tokenizer(*_origin(params, teacher))


def _origin(params: Params, teacher: Path | None) -> tuple[str | Path, str]:
    """Where the student's tokenizer and, unless it is fresh, weights come from: address and key."""
    if params.student.model is not None:
        return params.student.model, "student.model"
    if teacher is not None and params.student.init in ("teacher", "fresh", "bilstm"):
        return teacher, "teacher"
    return params.teacher.model, "teacher.model"


def check_student(params: Params) -> None:
    """Raise InputError if the student cannot be made of the models named, or not taught by a teacher of that model.

    Only configs and tokenizers are read: for the first stage that has models at all.
    """
    given = params.student
    taught = load_encoder_config(params.teacher.model, "teacher.model")
    if params.cache.attention or params.objectives.on(BY_HEAD):
        check_attention(taught, "teacher.model")
    tokenizer = load_tokenizer(params.teacher.model, "teacher.model")
    if given.init in ("teacher", "encoder"):
        _check_layers(given.layers, taught, params.teacher.model)
    elif given.init == "fresh":
        check_sizes(params.objectives, fresh_config(params, tokenizer, []), taught)
    elif given.model is not None:
        config = load_encoder_config(given.model, "student.model")
        own = load_tokenizer(given.model, "student.model")
        check_vocabulary(params.objectives, own, tokenizer)
        check_sizes(params.objectives, config, taught)
        check_length(params.max_length, own, config, "student")
        if params.objectives.on(BY_HEAD):
            check_attention(config, "student.model")


def _check_layers(layers: int, config: Any, address: str | Path) -> None:
    deepest = config.num_hidden_layers
    if layers > deepest:
        raise InputError(f"student.layers: got {layers}, but {address} has {deepest} layers; accepted: 1 to {deepest}")


def take_layers(
    whole: PreTrainedModel, layers: int, pick: Literal["first", "spaced"], address: str | Path
) -> PreTrainedModel:
    """Copy a classifier's embeddings, some of its layers and its head into a new one.

    A smaller config makes a model whose weights bear the names of the first layers, in any encoder of transformers;
    those of other layers are renamed to take their places.

    Raises InputError if `address`, the model's name in the error, has fewer layers, or none that can take another's
    place.
    """
    _check_layers(layers, whole.config, address)
    config = copy.deepcopy(whole.config)
    config.num_hidden_layers = layers
    if getattr(config, "layer_types", None):
        taken = layer_map(layers, len(config.layer_types)) if pick == "spaced" else range(1, layers + 1)
        config.layer_types = [config.layer_types[layer - 1] for layer in taken]
    student = _from_config(config)
    wanted = student.state_dict().keys()
    renamed = _renamed(whole, layers, address) if pick == "spaced" else {}
    if renamed.keys() - wanted:
        raise InputError(f"student.pick: {address} has a first layer that is unlike the others; accepted: first")
    weights = whole.state_dict() | renamed
    student.load_state_dict({name: weight for name, weight in weights.items() if name in wanted})
    return student


def _renamed(whole: PreTrainedModel, layers: int, address: str | Path) -> dict[str, torch.Tensor]:
    """Weights of evenly spaced layers under the names of the first ones."""
    deepest = whole.config.num_hidden_layers
    stacks = [
        name for name, module in whole.named_modules()
        if isinstance(module, torch.nn.ModuleList) and len(module) == deepest
    ]  # fmt: skip
    if len(stacks) != 1:
        raise InputError(f"student.pick: {address} has no list of {deepest} layers to pick from; accepted: first")
    weights = whole.state_dict()
    renamed: dict[str, torch.Tensor] = {}
    for place, layer in enumerate(layer_map(layers, deepest)):
        prefix = f"{stacks[0]}.{layer - 1}."
        renamed |= {
            f"{stacks[0]}.{place}.{name.removeprefix(prefix)}": weight
            for name, weight in weights.items()
            if name.startswith(prefix)
        }
    return renamed


def _bilstm(
    whole: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, labels: list[str], *, pairs: bool
) -> PreTrainedModel:
    """A BiLSTM whose word embeddings begin as the principal components of another model's.

    Raises InputError if of a pair nothing tells where the first text ends.
    """
    if pairs and tokenizer.sep_token_id is None:
        raise InputError("student.init: got bilstm, but the teacher's tokenizer has no separator between two texts")
    config = BiLSTMConfig(
        vocab_size=whole.config.vocab_size,
        pairs=pairs,
        pad_token_id=tokenizer.pad_token_id,
        sep_token_id=tokenizer.sep_token_id,
    )
    _name_labels(config, labels)
    student = _from_config(config)
    with torch.no_grad():
        embeddings = student.get_input_embeddings().weight
        embeddings.copy_(principal_components(whole.get_input_embeddings().weight, config.embedding_size))
        embeddings[config.pad_token_id] = 0
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
