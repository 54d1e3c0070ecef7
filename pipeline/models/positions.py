"""How many tokens a model's position embeddings reach."""

from typing import Any

OFFSET_POSITIONS = (
    "camembert", "data2vec-text", "esm", "ibert", "longformer", "luke", "mpnet", "roberta", "roberta-prelayernorm",
    "xlm-roberta", "xlm-roberta-xl", "xmod",
)  # fmt: skip
"""Families whose positions start after the padding token's id, which leaves `pad_token_id + 1` fewer of them."""


def max_positions(config: Any, default: int) -> int:
    """The most tokens that a model's position embeddings reach; `default` if it has none."""
    most: int = getattr(config, "max_position_embeddings", default)
    return most - config.pad_token_id - 1 if config.model_type in OFFSET_POSITIONS else most
