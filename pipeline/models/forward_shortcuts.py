"""Forward passes that leave out what nobody reads of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import PreTrainedModel

FIRST_TOKEN = ("bert", "camembert", "electra", "roberta", "xlm-roberta")
"""Families built alike whose classifiers read of the last layer its first token alone."""


@contextmanager
def head_only_at(model: PreTrainedModel, positions: torch.Tensor) -> Iterator[None]:
    """Inside, the model's head sees the encoder's states at `positions` only: logits are (positions, vocabulary).

    A masked language model spends as much on its vocabulary as on several layers; the rows that are not masked are
    never looked at.

    Args:
        positions: boolean, (batch, tokens).
    """

    def gather(_module: Any, _inputs: Any, output: Any) -> Any:
        output.last_hidden_state = output.last_hidden_state[positions]
        return output

    hook = model.base_model.register_forward_hook(gather)
    try:
        yield
    finally:
        hook.remove()


@contextmanager
def last_layer_at_first(model: PreTrainedModel) -> Iterator[None]:
    """Inside, a classifier's last layer goes on with its first token only, once that has attended to all others.

    The logits are the same, up to rounding; of the layer's products three in four fall away. Families that are not
    known to read the first token alone compute all of them.
    """
    if model.config.model_type not in FIRST_TOKEN:
        yield
        return
    after_attention = model.base_model.encoder.layer[-1].attention.output
    hook = after_attention.register_forward_pre_hook(lambda _module, inputs: tuple(each[:, :1] for each in inputs))
    try:
        yield
    finally:
        hook.remove()
