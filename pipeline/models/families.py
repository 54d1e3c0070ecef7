"""Whether a family's models can be run and show what the losses compare, tried on a small model before any work."""

import copy
import logging
from collections.abc import Mapping
from typing import Any

import torch
from transformers import PreTrainedModel

from pipeline.errors import InputError, one_line
from pipeline.models.attention import attention_heads, sample_inputs, sums_to_one, trying
from pipeline.models.forward import NAMES, States, forward
from pipeline.models.layers import PER_LAYER, new_classifier
from pipeline.models.pair_encoder import encode_each
from pipeline.models.positions import max_positions
from pipeline.params.objectives import OBJECTIVES
from pipeline.params.schema import Params

logger = logging.getLogger(__name__)
NOT_CONVERTED = {
    "funnel": "the file would take texts of one length only",
    "longformer": "torch cannot follow how it cuts texts into windows",
}
"""Families that torch.onnx.export fails on, each with the reason; trying it on every student would take minutes."""
LONGEST = 1024
"""Tokens of the longest text tried."""
WORDS = 128
"""Size of the vocabulary of the small model."""


def check_family(config: Any, key: str, needs: Mapping[str, tuple[str, str]], max_length: int) -> None:
    """Raise InputError if models with this config cannot be run, or do not show a state.

    A model of one layer with random weights is tried on two texts, so that no weights are read.

    Args:
        key: names the model in errors.
        needs: by the name of a state in `States`, the parameter that needs it and the value with which it does not,
            such as `{"attention": ("objectives.attention", "0")}`.
        max_length: tokens of the longest texts.
    """
    family = config.model_type
    try:
        model = small_model(config)
        length = max(4, min(max_length, max_positions(model, max_length), LONGEST))
        inputs = sample_inputs(model, (length, 3))
        with trying(model):
            forward(model, inputs)
            # A Nystromformer with landmarks takes texts of one length only.
            forward(model, sample_inputs(model))
    except Exception as error:
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise InputError(f"{key}: {family} models cannot be run here ({reason}); accepted: another family") from error
    for state, (parameter, off) in needs.items():
        try:
            with trying(model):
                shown = _is_whole(state, forward(model, inputs, [state]), model.config, inputs)
        except Exception:
            shown = False
        if not shown:
            raise InputError(
                f"{key}: {family} models do not show their {NAMES[state]}, which {parameter} needs; "
                f"accepted: {parameter}: {off}, or another family"
            )


def check_each(config: Any, key: str, max_length: int) -> None:
    """Raise InputError if models with this config cannot encode two texts in one row as they encode each by itself.

    Args:
        key: names the model in errors.
        max_length: tokens of the longest pairs.
    """
    try:
        model = small_model(config)
        words = [token_id for token_id in range(3, 14) if token_id != config.pad_token_id]
        length = max(4, min(max_length // 2, max_positions(model, max_length), LONGEST // 2))
        texts = [torch.tensor([words[at % 7] for at in range(size)] + words[7:8]) for size in (length - 1, 3)]
        with torch.random.fork_rng(devices=[]):
            pairs = encode_each(model, (None, words[7]))
        with trying(model), trying(pairs):
            alone = [model.base_model(**_whole(text)).last_hidden_state for text in texts]
            together = forward(pairs, _whole(torch.cat(texts)), ["hidden"]).hidden
        # A mask for two texts takes the place of that of layers in which a token sees its neighbours alone.
        whole = not getattr(config, "local_attention", None)
        same = whole and torch.allclose(together, torch.cat(alone, dim=1), atol=1e-4)
    except Exception:
        same = False
    if not same:
        raise InputError(
            f"{key}: pairs is each, but {config.model_type} models cannot encode two texts in one row, each by itself; "
            "accepted: pairs: cross, or an encoder such as bert, roberta or mpnet"
        )


def _whole(text: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"input_ids": text[None], "attention_mask": torch.ones_like(text[None])}


def check_conversion(config: Any, key: str, accepted: str) -> None:
    """Raise InputError if a student with this config cannot be converted to ONNX.

    Args:
        key: names the student in errors.
        accepted: the end of errors: "accepted: another family".
    """
    if reason := NOT_CONVERTED.get(config.model_type):
        raise InputError(
            f"{key}: the student is a {config.model_type}, which cannot be converted to ONNX ({reason}); {accepted}"
        )


def teacher_needs(params: Params) -> dict[str, tuple[str, str]]:
    """What is read of the teacher: by state the parameter that needs it, and the value with which it does not."""
    needs: dict[str, tuple[str, str]] = {}
    for state, name in _states_read(params).items():
        off = "0" if OBJECTIVES[name].live else f"0 with cache.{state}: false"
        needs[state] = (f"objectives.{name}", off)
    for state in ("hidden", "attention"):
        if getattr(params.cache, state):
            needs.setdefault(state, (f"cache.{state}", "false"))
    return needs


def student_needs(params: Params) -> dict[str, tuple[str, str]]:
    """What is read of the student: by state the parameter that needs it, and the value with which it does not."""
    needs = {state: (f"objectives.{name}", "0") for state, name in _states_read(params).items()}
    if params.selector.reads_states:
        needs.setdefault("hidden", ("selector.representations", "false"))
    return needs


def _states_read(params: Params) -> dict[str, str]:
    """What losses read, each with a loss's name, without the logits, which every family gives."""
    return {state: name for state, name in params.objectives.reads().items() if state != "logits"}


def _is_whole(state: str, states: States, config: Any, inputs: Mapping[str, torch.Tensor]) -> bool:
    """Whether a state has one entry for each token and, if it is attention, rows that sum to one."""
    mask = inputs["attention_mask"]
    if state == "attention":
        return sums_to_one(states.attention, mask) and states.attention.shape[1] == attention_heads(config)
    if state == "hidden" and states.hidden.shape[2] != config.hidden_size:
        return False  # Reformer's are twice as wide.
    value = getattr(states, state)
    tensors = value if isinstance(value, tuple) else (value,)
    return all(mask.shape[1] in tensor.shape[1:3] for tensor in tensors)


def small_model(config: Any) -> PreTrainedModel:
    """A model of the last layer's kind alone and a small vocabulary; of all layers if the family cannot have one."""
    small = copy.deepcopy(config)
    padding = config.pad_token_id or 0
    # Positions may begin after the padding token's number.
    words = padding + 1 if WORDS <= padding < (getattr(config, "max_position_embeddings", None) or 0) else WORDS
    small.vocab_size = min(config.vocab_size, words)
    if padding >= words:
        small.pad_token_id = 0
    whole = copy.deepcopy(small)
    with torch.random.fork_rng(devices=[]):
        try:
            small.num_hidden_layers = 1
            for name in PER_LAYER:
                if isinstance(settings := getattr(small, name, None), list):
                    setattr(small, name, settings[-1:])
            return new_classifier(small)
        except Exception:
            # Families with settings for each layer, or without a number of layers.
            return new_classifier(whole)


def warn_of_local_attention(teacher: Any, student: Any, max_length: int) -> None:
    """Log a warning if the last layer of one model attends to near tokens only and that of the other to all.

    Args:
        teacher, student: configs.
        max_length: tokens of the longest texts; in texts shorter than the window all tokens are near.
    """
    reach = [_reach(config, max_length) for config in (teacher, student)]
    if reach[0] != reach[1]:
        attends = [f"at most {tokens} tokens away" if tokens < max_length else "to all tokens" for tokens in reach]
        logger.warning(
            "objectives.attention: the last layer of the teacher attends %s, that of the student %s; "
            "recommended: objectives.attention: 0",
            *attends,
        )


def _reach(config: Any, max_length: int) -> int:
    """How many tokens away the last layer attends; `max_length` if to all."""
    local = (getattr(config, "layer_types", None) or [""])[-1] == "sliding_attention"
    window: int | None = getattr(config, "sliding_window", None) if local else None
    return max_length if window is None else min(window, max_length)
