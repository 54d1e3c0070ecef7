"""Checks that ids fit a model: those of its tokenizer its embeddings, those of its classes its outputs."""

from typing import Any

from pipeline.errors import InputError


def check_ids(tokenizer: Any, config: Any, model: str) -> None:
    """Raise InputError if a tokenizer has ids without an embedding in the model: it belongs to another model.

    Args:
        tokenizer: of transformers or tokenizers.
    """
    largest, vocab_size = max(tokenizer.get_vocab().values()), getattr(config, "vocab_size", None)
    if vocab_size is not None and largest >= vocab_size:
        raise InputError(
            f"{model}: its tokenizer gives ids up to {largest}, its embeddings end at {vocab_size - 1}; "
            "accepted: a model with its own tokenizer"
        )


def check_numbering(config: Any, key: str) -> None:
    """Raise InputError if the keys of id2label in a model's config are not 0, 1, 2 and so on."""
    if sorted(config.id2label) != list(range(len(config.id2label))):
        numbers = ", ".join(map(str, sorted(config.id2label)))
        raise InputError(f"{key}: id2label of its config.json has the numbers {numbers}; accepted: 0, 1, 2 and so on")
