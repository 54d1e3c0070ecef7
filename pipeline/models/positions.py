"""How many tokens a model's position embeddings reach, seen in a forward pass: families begin at other positions."""

from typing import Any

import torch
from torch.nn.functional import embedding
from torch.overrides import TorchFunctionMode
from transformers import PreTrainedModel

TOKENS = 3
"""Of the text that is tried."""


def max_positions(model: PreTrainedModel, default: int) -> int:
    """The most tokens that a model's position embeddings reach; `default` if it names no length and has none.

    A row of embeddings that is looked up for consecutive numbers is one of positions. Families with a padding token in
    that table, such as RoBERTa and ESM, begin after it.

    Args:
        model: in evaluation mode.
    """
    most: int = getattr(model.config, "max_position_embeddings", None) or default
    word = 6 if getattr(model.config, "pad_token_id", None) == 5 else 5
    ids = torch.full((1, TOKENS), word, device=model.device)
    with torch.no_grad(), torch.random.fork_rng(devices=[]), _Lookups() as lookups:
        model(input_ids=ids, attention_mask=torch.ones_like(ids))
    for rows, table in lookups.seen:
        # Longformer and Reformer pad texts.
        first, *others = rows.flatten()[:TOKENS].tolist()
        if others == list(range(first + 1, first + TOKENS)):
            most = min(most, len(table) - first)
    return most


class _Lookups(TorchFunctionMode):
    """Notes the rows that are looked up in tables of embeddings, each with its table."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is embedding:
            self.seen.append(args[:2])
        return function(*args, **(kwargs or {}))
