"""A forward pass that also returns hidden states, attention probabilities and scores, and the vectors of the heads."""

from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from pipeline.errors import InputError
from pipeline.models.attention import EMPTY, AttentionRecord, attention_route, recording
from pipeline.models.forward_shortcuts import last_layer_first_token_only

NAMES = {
    "logits": "logits",
    "hidden": "hidden states",
    "attention": "attention probabilities",
    "queries": "query vectors",
    "keys": "key vectors",
    "values": "value vectors",
    "layers": "states of each layer",
    "scores": "attention scores before the softmax",
}
"""The fields of `States` in words."""
OF_ATTENTION = {"attention", "queries", "keys", "values", "scores"}
"""Those that are read inside the attention."""


@dataclass(frozen=True, slots=True)
class States:
    """The outputs of a forward pass, float32; those not requested are empty."""

    logits: torch.Tensor = EMPTY
    """(texts, labels)."""
    hidden: torch.Tensor = EMPTY
    """The last layer's states: (texts, tokens, width)."""
    attention: torch.Tensor = EMPTY
    """The last layer's attention probabilities, before dropout: (texts, heads, tokens, tokens)."""
    queries: torch.Tensor = EMPTY
    """The last layer's query vectors: (texts, heads, tokens, width of a head)."""
    keys: torch.Tensor = EMPTY
    """The last layer's key vectors: (texts, heads, tokens, width of a head)."""
    values: torch.Tensor = EMPTY
    """The last layer's value vectors: (texts, heads, tokens, width of a head)."""
    layers: tuple[torch.Tensor, ...] = ()
    """The embeddings' output and each layer's: (texts, tokens, width)."""
    scores: tuple[torch.Tensor, ...] = ()
    """Each layer's attention scores, before the softmax: (texts, heads, tokens, tokens)."""


def forward(
    model: PreTrainedModel,
    inputs: Mapping[str, torch.Tensor],
    states: Collection[str] = (),
) -> States:
    """Run a classifier on padded inputs and return its logits and the states requested.

    Attention is computed without the fused kernel only in the layers requested: all for `scores`, else the last. The
    rows and columns of padding tokens are undefined.

    Args:
        inputs: by name, each (texts, tokens).
        states: the fields of `States` to return; the logits always are.

    Raises InputError if the model's family does not show what is requested.
    """
    last: list[torch.Tensor] = []
    records: list[AttentionRecord] = []
    options = {"output_hidden_states": True} if "layers" in states else {}
    with ExitStack() as stack:
        if OF_ATTENTION & set(states):
            route = attention_route(model)
            if route is None:
                raise _not_shown(model, "attention")
            records = stack.enter_context(recording(model, route, all_layers="scores" in states))
            if not route.interface:
                options["output_attentions"] = True
        if "hidden" in states:
            hook = model.base_model.register_forward_hook(
                lambda _module, _inputs, output: last.append(output.last_hidden_state)
            )
            stack.callback(hook.remove)
        if not {"hidden", "layers"} & set(states):
            stack.enter_context(last_layer_first_token_only(model))
        outputs = model(**inputs, **options)
    record = records[-1] if records else AttentionRecord(EMPTY)
    for name in ("queries", "keys", "values", "scores"):
        if name in states and not len(getattr(record, name)):
            raise _not_shown(model, name)
    return States(
        logits=outputs.logits.float(),
        hidden=last[-1].float() if last else EMPTY,
        attention=record.probs.float() if "attention" in states else EMPTY,
        queries=record.queries.float() if "queries" in states else EMPTY,
        keys=record.keys.float() if "keys" in states else EMPTY,
        values=record.values.float() if "values" in states else EMPTY,
        layers=tuple(layer.float() for layer in outputs.hidden_states) if "layers" in states else (),
        scores=tuple(record.scores.float() for record in records) if "scores" in states else (),
    )


def _not_shown(model: PreTrainedModel, state: str) -> InputError:
    return InputError(f"{model.config.model_type} models do not show their {NAMES[state]}")
