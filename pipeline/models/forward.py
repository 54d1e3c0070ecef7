"""A forward pass that also returns hidden states, attention probabilities and scores, and value vectors."""

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
"""Name of the attention implementation that records attention, in transformers' registry."""
EMPTY = torch.empty(0)


@dataclass(frozen=True, slots=True)
class States:
    """The outputs of a forward pass; those not requested are empty."""

    logits: torch.Tensor = EMPTY
    """(texts, labels)."""
    hidden: torch.Tensor = EMPTY
    """The last layer's states: (texts, tokens, width)."""
    attention: torch.Tensor = EMPTY
    """The last layer's attention probabilities, before dropout: (texts, heads, tokens, tokens)."""
    values: torch.Tensor = EMPTY
    """The last layer's value vectors: (texts, heads, tokens, width of a head)."""
    layers: tuple[torch.Tensor, ...] = ()
    """The embeddings' output and each layer's: (texts, tokens, width)."""
    scores: tuple[torch.Tensor, ...] = ()
    """Each layer's attention scores, before the softmax: (texts, heads, tokens, tokens)."""


@dataclass(frozen=True, slots=True)
class AttentionRecord:
    """What the attention module of one layer computed."""

    scores: torch.Tensor
    """Before the softmax and before masking: (texts, heads, tokens, tokens)."""
    probs: torch.Tensor
    """After the softmax, before dropout: (texts, heads, tokens, tokens)."""
    values: torch.Tensor
    """(texts, heads, tokens, width of a head)."""


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
    """The fused kernel, except in modules that record attention: there softmax(QKᵀ) is computed explicitly."""
    record: Callable[[AttentionRecord], None] | None = getattr(module, "record_attention", None)
    if record is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **options
        )
    scores = query @ key.transpose(-1, -2) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    masked = scores
    if attention_mask is not None:
        allowed = attention_mask if attention_mask.dtype == torch.bool else attention_mask >= 0
        masked = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
    probs = masked.softmax(-1)
    record(AttentionRecord(scores, probs, value))
    context = torch.nn.functional.dropout(probs, dropout, module.training) @ value
    return context.transpose(1, 2).contiguous(), probs


AttentionInterface.register(ATTENTION, _attend)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)


def attention_modules(model: PreTrainedModel) -> list[torch.nn.Module]:
    """The self-attention module of each layer. Raises InputError if transformers builds this family differently."""
    modules = [module for module in model.modules() if type(module).__name__.endswith("SelfAttention")]
    if not modules:
        raise _no_attention(model)
    return modules


def _no_attention(model: PreTrainedModel) -> InputError:
    return InputError(
        f"{type(model).__name__}: no self-attention found to take probabilities from; "
        "accepted: objectives.attention: 0 with cache.attention: false"
    )


def check_attention(config: Any, key: str) -> None:
    """Raise InputError, naming the key, if `forward` cannot return attention for models with this config.

    A model of one layer with random weights is tried, so that no weights are read.
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
            raise InputError(f"{key}: {error}") from error
        except Exception as error:
            # Families with other settings for each layer, whose config cannot be cut to one layer, are not supported.
            raise InputError(
                f"{key}: no attention can be taken from a {config.model_type} ({type(error).__name__}); "
                "accepted: objectives.attention: 0 with cache.attention: false"
            ) from error


@contextmanager
def recording_attention(model: PreTrainedModel, *, all_layers: bool) -> Iterator[list[AttentionRecord]]:
    """Inside, forward passes append the last layer's attention to the list, or that of all layers in order."""
    if model.config._attn_implementation != ATTENTION:
        model.set_attn_implementation(ATTENTION)
    modules = attention_modules(model)
    modules = modules if all_layers else modules[-1:]
    records: list[AttentionRecord] = []
    for module in modules:
        module.record_attention = records.append  # type: ignore[assignment]
    try:
        yield records
    finally:
        for module in modules:
            del module.record_attention


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
    """Run a classifier on padded inputs and return its logits and the states requested.

    Attention is computed without the fused kernel only in the layers requested: all for `scores`, else the last. The
    rows and columns of padding tokens are undefined.

    Args:
        inputs: by name, each (texts, tokens).
        hidden, attention, values, layers, scores: whether to return the field of `States`.

    Raises InputError if the model's family computes attention in a way that cannot be recorded.
    """
    last: list[torch.Tensor] = []
    with ExitStack() as stack:
        if hidden:
            hook = model.base_model.register_forward_hook(
                lambda _module, _inputs, output: last.append(output.last_hidden_state)
            )
            stack.callback(hook.remove)
        records: list[AttentionRecord] = []
        if attention or values or scores:
            records = stack.enter_context(recording_attention(model, all_layers=scores))
        outputs = model(**inputs, output_hidden_states=True) if layers else model(**inputs)
    if (attention or values or scores) and not records:
        raise _no_attention(model)
    return States(
        logits=outputs.logits,
        hidden=last[-1] if hidden else EMPTY,
        attention=records[-1].probs if attention else EMPTY,
        values=records[-1].values if values else EMPTY,
        layers=tuple(outputs.hidden_states) if layers else (),
        scores=tuple(record.scores for record in records) if scores else (),
    )
