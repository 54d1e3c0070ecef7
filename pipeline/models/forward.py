"""A forward pass that also gives what a student may imitate inside: hidden states, attention, values."""

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
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

ATTENTION = "sdpa_but_some_layers"
NOTHING = torch.empty(0)


@dataclass(frozen=True, slots=True)
class States:
    """What a pass gave; what was not asked for is empty."""

    logits: torch.Tensor = NOTHING
    """(texts, labels)."""
    hidden: torch.Tensor = NOTHING
    """The last layer's states: (texts, tokens, width)."""
    attention: torch.Tensor = NOTHING
    """The last layer's attention probabilities: (texts, heads, tokens, tokens)."""
    values: torch.Tensor = NOTHING
    """The last layer's value vectors: (texts, heads, tokens, width of a head)."""
    layers: tuple[torch.Tensor, ...] = ()
    """The embeddings' output and each layer's: (texts, tokens, width)."""
    scores: tuple[torch.Tensor, ...] = ()
    """Each layer's attention scores, before the softmax: (texts, heads, tokens, tokens)."""


@dataclass(frozen=True, slots=True)
class _Looked:
    """What one attention module computed, padding not yet left out of the scores."""

    scores: torch.Tensor
    probabilities: torch.Tensor
    values: torch.Tensor


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
    """The fused kernel, except in modules whose attention someone wants: there it is computed by hand."""
    keep: Callable[[_Looked], None] | None = getattr(module, "keep_attention", None)
    if keep is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **options
        )
    scores = query @ key.transpose(-1, -2) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    real = scores
    if attention_mask is not None:
        allowed = attention_mask if attention_mask.dtype == torch.bool else attention_mask >= 0
        real = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
    probabilities = real.softmax(-1)
    keep(_Looked(scores, probabilities, value))
    mixed = torch.nn.functional.dropout(probabilities, dropout, module.training) @ value
    return mixed.transpose(1, 2).contiguous(), probabilities


AttentionInterface.register(ATTENTION, _attend)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)


def attention_modules(model: PreTrainedModel) -> list[torch.nn.Module]:
    """The self-attention of each layer. Raises InputError if transformers builds this family differently."""
    found = [module for module in model.modules() if type(module).__name__.endswith("SelfAttention")]
    if not found:
        raise _no_attention(model)
    return found


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
            forward(model, {"input_ids": torch.ones(1, 2, dtype=torch.int64)}, attention=True)
        except InputError as error:
            raise InputError(f"{key}: {error}") from None
        except Exception as error:
            # Families whose other settings hang on the number of layers are of no use here either.
            raise InputError(
                f"{key}: no attention can be taken from a {config.model_type} ({type(error).__name__}); "
                "accepted: objectives.attention: 0 with cache.attention: false"
            ) from None


@contextmanager
def _looking(model: PreTrainedModel, *, every: bool) -> Iterator[list[_Looked]]:
    """Inside, passes leave here what the last layer's attention computed, or every layer's."""
    if model.config._attn_implementation != ATTENTION:
        model.set_attn_implementation(ATTENTION)
    modules = attention_modules(model)
    modules = modules if every else modules[-1:]
    looked: list[_Looked] = []
    for module in modules:
        module.keep_attention = looked.append  # type: ignore[assignment]
    try:
        yield looked
    finally:
        for module in modules:
            del module.keep_attention


def forward(
    model: PreTrainedModel,
    inputs: Mapping[str, torch.Tensor],
    *,
    hidden: bool = False,
    attention: bool = False,
    values: bool = False,
    layers: bool = False,
    scores: bool = False,
) -> States:
    """Run a classifier on padded inputs, and keep those of its states that are asked for.

    Attention (before dropout) is computed by hand only in layers that are asked for; rows and columns of padding mean
    nothing. Raises InputError if the model's family computes it where it cannot be taken from.
    """
    last: list[torch.Tensor] = []
    with ExitStack() as stack:
        if hidden:
            hook = model.base_model.register_forward_hook(
                lambda _module, _inputs, output: last.append(output.last_hidden_state)
            )
            stack.callback(hook.remove)
        looked: list[_Looked] = []
        if attention or values or scores:
            looked = stack.enter_context(_looking(model, every=scores))
        given = model(**inputs, output_hidden_states=True) if layers else model(**inputs)
    if (attention or values or scores) and not looked:
        raise _no_attention(model)
    return States(
        logits=given.logits,
        hidden=last[-1] if hidden else NOTHING,
        attention=looked[-1].probabilities if attention else NOTHING,
        values=looked[-1].values if values else NOTHING,
        layers=tuple(given.hidden_states) if layers else (),
        scores=tuple(one.scores for one in looked) if scores else (),
    )
