"""Forward passes that skip outputs nobody reads."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import PreTrainedModel

FIRST_TOKEN_FAMILIES = ("bert", "camembert", "electra", "roberta", "xlm-roberta")
"""Families of one architecture whose classifiers read only the first token of the last layer."""


@contextmanager
def head_only_at(model: PreTrainedModel, positions: torch.Tensor) -> Iterator[None]:
    """Apply a masked language model's head at `positions` only: logits are (positions, vocabulary).

    The vocabulary's logits cost as much as several layers, and those of tokens that are not masked are never used.

    Args:
        positions: boolean, (batch, tokens).
    """

    def gather(_module: Any, _inputs: Any, output: Any) -> Any:
        # As one text: the heads of some families take nothing but (texts, tokens, width).
        output.last_hidden_state = output.last_hidden_state[positions].unsqueeze(0)
        return output

    def flatten(_module: Any, _inputs: Any, output: Any) -> Any:
        output.logits = output.logits.squeeze(0)
        return output

    hooks = [model.base_model.register_forward_hook(gather), model.register_forward_hook(flatten)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def last_layer_first_token_only(model: PreTrainedModel) -> Iterator[None]:
    """In a classifier's last layer, compute what follows the attention for the first token only.

    The logits are the same, up to rounding, for a quarter of that layer's products, a third in MPNet. Families
    other than MPNet and those of `FIRST_TOKEN_FAMILIES` compute all tokens.
    """
    hooks = [
        module.register_forward_pre_hook(lambda _module, inputs: tuple(states[:, :1] for states in inputs))
        for module in _after_attention(model)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _after_attention(model: PreTrainedModel) -> list[torch.nn.Module]:
    """The modules of the last layer that take the states of all tokens after its attention."""
    family = model.config.model_type
    if family != "mpnet" and family not in FIRST_TOKEN_FAMILIES:
        return []
    last: Any = model.base_model.encoder.layer[-1]
    return [last.intermediate, last.output] if family == "mpnet" else [last.attention.output]
