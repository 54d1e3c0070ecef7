"""A forward pass that also gives the last layer's attention probabilities and hidden states."""

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    AutoModelForSequenceClassification,
    PreTrainedModel,
)
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from pipeline.errors import InputError

ATTENTION = "sdpa_but_last_layer"


@dataclass(frozen=True, slots=True)
class States:
    """What a pass gave: logits (texts, labels); hidden (texts, tokens, width); attention (texts, heads, tokens²)."""

    logits: torch.Tensor
    hidden: torch.Tensor | None
    attention: torch.Tensor | None


def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **options: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The fused kernel, except in the one module whose probabilities someone wants: those are computed by hand."""
    keep: Callable[[torch.Tensor], None] | None = getattr(module, "keep_attention", None)
    if keep is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **options
        )
    scores = query @ key.transpose(-1, -2) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    if attention_mask is not None:
        allowed = attention_mask if attention_mask.dtype == torch.bool else attention_mask >= 0
        scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
    probabilities = scores.softmax(-1)
    keep(probabilities)
    mixed = torch.nn.functional.dropout(probabilities, dropout, module.training) @ value
    return mixed.transpose(1, 2).contiguous(), probabilities


AttentionInterface.register(ATTENTION, _attend)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)


def last_attention_module(model: PreTrainedModel) -> torch.nn.Module:
    """The self-attention of the last layer. Raises InputError if transformers builds this family differently."""
    found = [module for module in model.modules() if type(module).__name__.endswith("SelfAttention")]
    if not found:
        raise _no_attention(model)
    return found[-1]


def _no_attention(model: PreTrainedModel) -> InputError:
    return InputError(
        f"{type(model).__name__}: no self-attention found to take probabilities from; "
        "accepted: objectives.attention: 0 with cache.attention: false"
    )


def check_attention(config: Any, key: str) -> None:
    """Raise InputError, naming the key, if `forward` cannot take attention from models of such a config.

    A model of one layer with random weights is asked, so that no weights are read.
    """
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        try:
            small = copy.deepcopy(config)
            small.num_hidden_layers = 1
            if getattr(small, "layer_types", None):
                small.layer_types = small.layer_types[:1]
            model = AutoModelForSequenceClassification.from_config(small).eval()
            forward(model, {"input_ids": torch.ones(1, 2, dtype=torch.int64)}, hidden=False)
        except InputError as error:
            raise InputError(f"{key}: {error}") from None
        except Exception as error:
            # Families whose other settings hang on the number of layers are of no use here either.
            raise InputError(
                f"{key}: no attention can be taken from a {config.model_type} ({type(error).__name__}); "
                "accepted: objectives.attention: 0 with cache.attention: false"
            ) from None


@contextmanager
def _kept(model: PreTrainedModel, hidden: bool, attention: bool) -> Iterator[dict[str, torch.Tensor]]:
    kept: dict[str, torch.Tensor] = {}
    hook = None
    module = None
    if hidden:
        hook = model.base_model.register_forward_hook(
            lambda _module, _inputs, output: kept.update(hidden=output.last_hidden_state)
        )
    if attention:
        if model.config._attn_implementation != ATTENTION:
            model.set_attn_implementation(ATTENTION)
        module = last_attention_module(model)
        module.keep_attention = lambda probabilities: kept.update(attention=probabilities)  # type: ignore[assignment]
    try:
        yield kept
    finally:
        if hook is not None:
            hook.remove()
        if module is not None:
            del module.keep_attention


def forward(
    model: PreTrainedModel, inputs: Mapping[str, torch.Tensor], *, hidden: bool = True, attention: bool = True
) -> States:
    """Run a classifier on padded inputs.

    Attention probabilities (before dropout) are computed by hand in the last layer only; rows and columns of padding
    mean nothing. Raises InputError if the model's family computes them where they cannot be taken from.
    """
    with _kept(model, hidden, attention) as kept:
        logits = model(**inputs).logits
    if attention and "attention" not in kept:
        raise _no_attention(model)
    return States(logits, kept.get("hidden"), kept.get("attention"))
