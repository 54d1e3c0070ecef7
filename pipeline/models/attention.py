"""Attention probabilities of encoders of any family: where they can be recorded is found by trying, not by name."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from pipeline.models.dropout import BeforeDropout
from pipeline.models.loading import quiet

ATTENTION = "sdpa_but_some_layers"
"""Name of the attention implementation that records attention, in transformers' registry."""
EMPTY = torch.empty(0)


@dataclass(frozen=True, slots=True)
class AttentionRecord:
    """What the attention module of one layer computed; all but `probs` are empty if the family does not show it."""

    probs: torch.Tensor
    """After the softmax, before dropout: (texts, heads, tokens, tokens)."""
    scores: torch.Tensor = EMPTY
    """Before the softmax and before masking: (texts, heads, tokens, tokens)."""
    queries: torch.Tensor = EMPTY
    """(texts, heads, tokens, width of a head)."""
    keys: torch.Tensor = EMPTY
    """(texts, heads, tokens, width of a head)."""
    values: torch.Tensor = EMPTY
    """(texts, heads, tokens, width of a head)."""


@dataclass(frozen=True, slots=True)
class Route:
    """How to record a model's attention probabilities.

    Args:
        modules: those that compute attention, in the order of the layers; a family whose layers share their weights
            has one.
        interface: whether they go through transformers' attention interface. Then the fused kernel computes all
            layers that are not recorded. Otherwise the family has its own eager attention, which returns them.
    """

    modules: tuple[torch.nn.Module, ...]
    interface: bool


_routes: WeakKeyDictionary[PreTrainedModel, Route | None] = WeakKeyDictionary()


def attention_route(model: PreTrainedModel) -> Route | None:
    """How to record a model's attention; None if its family computes none whose rows sum to one over the tokens.

    Tried once a model, on a padded text and a longer one. Its attention implementation becomes `ATTENTION`, if it can.
    """
    if model not in _routes:
        _routes[model] = _interface_route(model) or _eager_route(model)
    return _routes[model]


def sample_inputs(model: PreTrainedModel, lengths: tuple[int, int] = (4, 2)) -> dict[str, torch.Tensor]:
    """Two made-up texts, padded, to try a model on: by name, each (2, longest)."""
    pad = getattr(model.config, "pad_token_id", None) or 0
    tokens = torch.full((2, max(lengths)), pad, device=model.device)
    mask = torch.zeros_like(tokens)
    for row, length in enumerate(lengths):
        mask[row, :length] = 1
    words = [token_id for token_id in range(1, 9) if token_id != pad]
    vocabulary = getattr(model.config, "vocab_size", None) or 9
    real = torch.tensor(words, device=model.device).repeat(-(-max(lengths) // len(words)))[: max(lengths)] % vocabulary
    return {"input_ids": torch.where(mask == 1, real, tokens), "attention_mask": mask}


@contextmanager
def trying(model: PreTrainedModel) -> Iterator[None]:
    """Inside, the model is in evaluation mode and float32, has no gradients and draws nothing of the generator."""
    training = model.training
    model.eval()
    try:
        # Rounded to bfloat16, rows of attention do not sum to one.
        with torch.no_grad(), torch.random.fork_rng(devices=[]), torch.autocast(model.device.type, enabled=False):
            yield
    finally:
        model.train(training)


def _interface_route(model: PreTrainedModel) -> Route | None:
    before = model.config._attn_implementation
    called: list[tuple[torch.nn.Module, AttentionRecord]] = []
    inputs = sample_inputs(model)
    try:
        with quiet():
            model.set_attn_implementation(ATTENTION)
        with trying(model), _records(model.modules(), lambda module, record: called.append((module, record))):
            model(**inputs)
    except (ValueError, TypeError, KeyError):
        # Families without that interface refuse any name but eager.
        called = []
    real = [(module, record) for module, record in called if sums_to_one(record.probs, inputs["attention_mask"])]
    if not real:
        with quiet():
            model.set_attn_implementation(before)
        return None
    return Route(tuple(dict.fromkeys(module for module, _ in real)), interface=True)


def _eager_route(model: PreTrainedModel) -> Route | None:
    inputs = sample_inputs(model)
    returned: list[tuple[torch.nn.Module, list[torch.Tensor]]] = []
    with trying(model), ExitStack() as stack:
        for module in model.modules():
            hook = module.register_forward_hook(lambda module, _, output: returned.append((module, _tensors(output))))
            stack.callback(hook.remove)
        attentions = getattr(model(**inputs, output_attentions=True), "attentions", None)
    if not attentions or not sums_to_one(attentions[-1], inputs["attention_mask"]):
        return None
    # The outermost module that returns a layer's probabilities, because those inside it may still compute with them.
    modules = [
        next((module for module, tensors in reversed(returned) if any(tensor is probs for tensor in tensors)), None)
        for probs in attentions
    ]
    return Route(tuple(dict.fromkeys(module for module in modules if module is not None)), interface=False)


def _tensors(output: Any) -> list[torch.Tensor]:
    return [part for part in output if isinstance(part, torch.Tensor)] if isinstance(output, tuple) else []


def sums_to_one(probs: Any, mask: torch.Tensor) -> bool:
    """Whether the rows of real tokens of (texts, heads, tokens, tokens) sum to one over real tokens.

    Args:
        mask: (texts, tokens), 1 where there is a token.
    """
    texts, tokens = mask.shape
    if not isinstance(probs, torch.Tensor) or probs.dim() != 4 or probs.shape[::2] != (texts, tokens):
        return False
    if probs.shape[-1] != tokens:
        return False
    real = mask[:, None, :, None] == 1
    sums = (probs * mask[:, None, None, :]).sum(-1, keepdim=True)
    return bool(torch.allclose(sums.masked_fill(~real, 1.0).float(), torch.ones_like(sums).float(), atol=1e-3))


def attention_heads(config: Any) -> int:
    """Number of heads whose probabilities a model with this config returns; 0 if it names none."""
    heads: int = getattr(config, "num_attention_heads", None) or 0
    # ConvBERT turns some heads into convolutions.
    return max(1, heads // getattr(config, "head_ratio", 1)) if heads else 0


@contextmanager
def recording(model: PreTrainedModel, route: Route, *, all_layers: bool) -> Iterator[list[AttentionRecord]]:
    """Inside, forward passes append the attention of the last layer to the list, or of all layers in order.

    By the attention interface, only these layers are computed without the fused kernel. With eager attention the model
    must be called with `output_attentions=True`; what layers other than these return is dropped at once.
    """
    records: list[AttentionRecord] = []
    wanted = route.modules if all_layers else route.modules[-1:]
    if route.interface:
        with _records(wanted, lambda _, record: records.append(record)):
            yield records
        return
    with ExitStack() as stack:
        dropout = stack.enter_context(BeforeDropout())
        for module in route.modules:
            hook = _taken(records.append, dropout) if module in wanted else _dropped
            stack.callback(module.register_forward_hook(hook).remove)
        yield records


@contextmanager
def _records(modules: Any, record: Callable[[torch.nn.Module, AttentionRecord], None]) -> Iterator[None]:
    """Inside, attention computed by these modules through the interface is passed to `record`."""
    watched = list(modules)
    for module in watched:
        module.record_attention = record
    try:
        yield
    finally:
        for module in watched:
            del module.record_attention


def _taken(append: Callable[[AttentionRecord], None], dropout: BeforeDropout) -> Callable[..., None]:
    def hook(_module: Any, _inputs: Any, output: Any) -> None:
        probs = [part for part in _tensors(output) if part.dim() == 4]
        append(AttentionRecord(dropout.undo(probs[-1])))

    return hook


def _dropped(_module: Any, _inputs: Any, output: Any) -> Any:
    parts = [EMPTY if isinstance(part, torch.Tensor) and part.dim() == 4 else part for part in output]
    return output._make(parts) if hasattr(output, "_make") else tuple(parts)


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
    record: Callable[[torch.nn.Module, AttentionRecord], None] | None = getattr(module, "record_attention", None)
    if record is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **options
        )
    # In grouped-query attention several heads share their keys and values.
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scores = query @ key.transpose(-1, -2) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    masked = scores
    if attention_mask is not None and attention_mask.dtype == torch.bool:
        masked = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    elif attention_mask is not None:
        masked = scores + attention_mask
    # As autocast does on a GPU, but not on a processor.
    probs = masked.softmax(-1, dtype=torch.promote_types(masked.dtype, torch.float32))
    record(module, AttentionRecord(probs, scores, query, key, value))
    context = torch.nn.functional.dropout(probs.to(value.dtype), dropout, module.training) @ value
    return context.transpose(1, 2).contiguous(), probs


AttentionInterface.register(ATTENTION, _attend)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)
