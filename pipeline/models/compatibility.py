"""Whether models fit each other and the params, asked before any work."""

import json
from typing import Any

from transformers import PreTrainedTokenizerFast

from pipeline.errors import InputError
from pipeline.params.objectives import BY_HEAD, BY_LAYER, BY_TOKEN, BY_WIDTH, Objectives

SPLITTING = ("model", "added_tokens", "normalizer", "pre_tokenizer", "post_processor")
"""The parts of a tokenizer that decide its tokens."""
OFFSET_POSITIONS = (
    "camembert", "data2vec-text", "ibert", "longformer", "luke", "mpnet", "roberta", "roberta-prelayernorm",
    "xlm-roberta", "xlm-roberta-xl", "xmod",
)  # fmt: skip
"""Encoders that number positions from behind their padding token, and have as many fewer."""


def same_vocabulary(one: PreTrainedTokenizerFast, other: PreTrainedTokenizerFast) -> bool:
    """Whether two tokenizers split every text into the same tokens with the same ids."""
    ours, theirs = (json.loads(tokenizer.backend_tokenizer.to_str()) for tokenizer in (one, other))
    return all(ours[part] == theirs[part] for part in SPLITTING)


def check_vocabulary(
    objectives: Objectives, student: PreTrainedTokenizerFast, teacher: PreTrainedTokenizerFast
) -> None:
    """Raise InputError if an objective compares student and teacher token by token and their tokens differ."""
    on = objectives.on(BY_TOKEN)
    if on and not same_vocabulary(student, teacher):
        off = " and ".join(f"objectives.{name}: 0" for name in on)
        raise InputError(
            f"student.model: it splits texts into other tokens than the teacher ({len(student)} and {len(teacher)} "
            f"in the vocabularies); accepted: a model with the teacher's vocabulary, or {off}"
        )


def check_sizes(objectives: Objectives, student: Any, teacher: Any) -> None:
    """Raise InputError if an objective compares heads, states or layers of two configs that differ in them."""
    for names, what, of in (
        (BY_HEAD, "attention heads", "num_attention_heads"),
        (BY_WIDTH, "units a state", "hidden_size"),
    ):
        for name in objectives.on(names):
            ours, theirs = getattr(student, of), getattr(teacher, of)
            if ours != theirs:
                raise InputError(
                    f"objectives.{name}: the student has {ours} {what} and the teacher {theirs}; "
                    f"accepted: equal numbers, or objectives.{name}: 0"
                )
    if objectives.patience and student.num_hidden_layers == 1:
        raise InputError(
            "objectives.patience: the student has one layer, and it teaches those below the last; "
            "accepted: two or more, or objectives.patience: 0"
        )
    for name in objectives.on(BY_LAYER):
        if student.num_hidden_layers > teacher.num_hidden_layers:
            raise InputError(
                f"objectives.{name}: the student has {student.num_hidden_layers} layers and the teacher "
                f"{teacher.num_hidden_layers}; accepted: no more than the teacher's, or objectives.{name}: 0"
            )


def longest(config: Any, otherwise: int) -> int:
    """Tokens that a model's position embeddings reach; `otherwise` if it has none."""
    most: int = getattr(config, "max_position_embeddings", otherwise)
    return most - config.pad_token_id - 1 if config.model_type in OFFSET_POSITIONS else most


def check_length(
    max_length: int, tokenizer: PreTrainedTokenizerFast, config: Any, model: str, *, key: str = "max_length"
) -> None:
    """Raise InputError if texts of `max_length` tokens are longer than the model's position embeddings reach."""
    most = min(tokenizer.model_max_length, longest(config, max_length))
    if max_length > most:
        raise InputError(f"{key}: got {max_length}, but {model} takes {most} tokens; accepted: 8 to {most}")


def check_ids(tokenizer: PreTrainedTokenizerFast, config: Any, model: str) -> None:
    """Raise InputError if a tokenizer gives tokens that the model has no embedding for: it belongs to another model."""
    most, known = max(tokenizer.get_vocab().values()), getattr(config, "vocab_size", None)
    if known is not None and most >= known:
        raise InputError(
            f"{model}: its tokenizer gives ids up to {most}, its embeddings end at {known - 1}; "
            "accepted: a model with its own tokenizer"
        )


def check_words(tokenizer: PreTrainedTokenizerFast, texts: list[str], model: str) -> None:
    """Raise InputError if a model cannot read most of the texts: of their words it knows fewer than half."""
    ids = [piece for row in tokenizer(texts, add_special_tokens=False)["input_ids"] for piece in row]
    unknown = sum(piece == tokenizer.unk_token_id for piece in ids)
    if unknown > len(ids) / 2:
        raise InputError(
            f"{model}: its vocabulary has {len(ids) - unknown:,} of the {len(ids):,} words and signs in the target's "
            "training texts; accepted: a model of the language and script they are in"
        )


def check_numbering(config: Any, key: str) -> None:
    """Raise InputError if the classes in a model's config are not numbered as its outputs are."""
    if sorted(config.id2label) != list(range(len(config.id2label))):
        found = ", ".join(map(str, sorted(config.id2label)))
        raise InputError(f"{key}: id2label of its config.json has the numbers {found}; accepted: 0, 1, 2 and so on")


def check_labels(config: Any, names: list[str], key: str) -> None:
    """Raise InputError if a saved model's outputs are not the prepared texts' classes in order, or not one number."""
    check_numbering(config, key)
    found = [config.id2label[index] for index in range(config.num_labels)]
    if names and found != names:
        raise InputError(f"{key}: its classes are {', '.join(found)}; the prepared texts have {', '.join(names)}")
    if not names and len(found) != 1:
        raise InputError(f"{key}: its classes are {', '.join(found)}; the prepared texts have numbers")
