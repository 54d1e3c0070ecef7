"""Checks that models fit each other and the params, before any work."""

import json
from collections.abc import Callable
from typing import Any

from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING, PreTrainedModel, PreTrainedTokenizerFast

from pipeline.errors import InputError
from pipeline.models.attention import attention_heads
from pipeline.models.families import small_model
from pipeline.models.ids import check_numbering
from pipeline.models.positions import max_positions
from pipeline.params.objectives import OBJECTIVES, Objectives

SIZES: dict[str, tuple[str, Callable[[Any], int]]] = {
    "heads": ("attention heads", attention_heads),
    "width": ("hidden units", lambda config: config.hidden_size),
}
"""What must be equal for some losses (`Objective.equal`): its name in errors, and its number by a model's config."""
_INSTEAD = {"heads": "; objectives.relations compares models with different numbers of heads"}


def check_sizes(objectives: Objectives, student: Any, teacher: Any) -> None:
    """Raise InputError if an objective compares heads, states or layers of two configs that differ in them."""
    for name in objectives.active():
        for size in OBJECTIVES[name].equal:
            what, number = SIZES[size]
            student_size, teacher_size = number(student), number(teacher)
            if student_size != teacher_size:
                raise InputError(
                    f"objectives.{name}: the student has {student_size} {what} and the teacher {teacher_size}; "
                    f"accepted: equal numbers, or objectives.{name}: 0{_INSTEAD.get(size, '')}"
                )
    if objectives.patience and student.num_hidden_layers == 1:
        raise InputError(
            "objectives.patience: the student has one layer, and this loss trains the layers below the last; "
            "accepted: two or more, or objectives.patience: 0"
        )
    for name in objectives.active(lambda objective: objective.maps_layers):
        if student.num_hidden_layers > teacher.num_hidden_layers:
            raise InputError(
                f"objectives.{name}: the student has {student.num_hidden_layers} layers and the teacher "
                f"{teacher.num_hidden_layers}; accepted: no more than the teacher's, or objectives.{name}: 0"
            )


def check_length(
    max_length: int, tokenizer: PreTrainedTokenizerFast, model: Any, name: str, *, key: str = "max_length"
) -> None:
    """Raise InputError if texts of `max_length` tokens are longer than the model's position embeddings reach.

    Args:
        model: in evaluation mode; or its config, without weights.
        name: of the model, for errors.
    """
    most = min(tokenizer.model_max_length, _positions(model, max_length))
    if max_length > most:
        raise InputError(f"{key}: got {max_length}, but {name} takes {most} tokens; accepted: 8 to {most}")


def _positions(model: Any, max_length: int) -> int:
    if isinstance(model, PreTrainedModel):
        return max_positions(model, max_length)
    if type(model) not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        # A masked language model whose family has no classifiers.
        return getattr(model, "max_position_embeddings", None) or max_length
    return max_positions(small_model(model), max_length)


def check_wordpiece(tokenizer: PreTrainedTokenizerFast) -> None:
    """Raise InputError if a vocabulary that is to be cut is not WordPiece: others would need other rules."""
    kind = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["type"]
    if kind != "WordPiece":
        raise InputError(f"export.vocabulary: got seen, but the student's tokenizer is {kind}; accepted: full")


def check_words(tokenizer: PreTrainedTokenizerFast, texts: list[str], model: str) -> None:
    """Raise InputError if more than half of the texts' tokens are unknown to the tokenizer."""
    # Long texts, which models will see cut, are no reason for a warning.
    words = tokenizer(texts, add_special_tokens=False, verbose=False)
    ids = [token_id for row in words["input_ids"] for token_id in row]
    unknown = sum(token_id == tokenizer.unk_token_id for token_id in ids)
    if unknown > len(ids) / 2:
        raise InputError(
            f"{model}: its vocabulary has {len(ids) - unknown:,} of the {len(ids):,} words and signs in the target's "
            "training texts; accepted: a model of the language and script they are in"
        )


def check_labels(config: Any, names: list[str], key: str) -> None:
    """Raise InputError if a saved model's classes are not those of the prepared texts, in order.

    Args:
        names: the classes of the prepared texts; empty for regression, whose model has one output.
    """
    check_numbering(config, key)
    classes = [config.id2label[index] for index in range(config.num_labels)]
    if names and classes != names:
        raise InputError(f"{key}: its classes are {', '.join(classes)}; the prepared texts have {', '.join(names)}")
    if not names and len(classes) != 1:
        raise InputError(f"{key}: its classes are {', '.join(classes)}; the prepared texts have numbers")
