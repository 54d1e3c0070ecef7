"""States of one text's units from those of its tokens, in loops: what `pipeline.distill.alignment` is held against."""

from collections.abc import Sequence

import torch

Numbers = Sequence[int]
"""The unit of each token; a negative one is none."""


def vectors(tokens: torch.Tensor, numbers: Numbers) -> torch.Tensor:
    """Means of vectors, (..., tokens, width) to (..., units, width)."""
    return torch.stack([_mean([tokens[..., at, :] for at in group]) for group in _groups(numbers)], dim=-2)


def scores(tokens: torch.Tensor, numbers: Numbers) -> torch.Tensor:
    """Means over queries and keys, (heads, tokens, tokens) to (heads, units, units)."""
    groups = _groups(numbers)
    return torch.tensor(
        [
            [
                [float(_mean([head[query, key] for query in queries for key in keys])) for keys in groups]
                for queries in groups
            ]
            for head in tokens
        ]
    )


def attention(tokens: torch.Tensor, numbers: Numbers) -> torch.Tensor:
    """Sums over keys and means over queries, as shares of what goes to any unit, in the shape of `scores`."""
    groups, heads = _groups(numbers), []
    for head in tokens.float():
        rows = []
        for queries in groups:
            row = [_mean([_sum([head[query, key] for key in keys]) for query in queries]) for keys in groups]
            rows.append([float(share / _sum(row)) for share in row])
        heads.append(rows)
    return torch.tensor(heads)


def _groups(numbers: Numbers) -> list[list[int]]:
    return [[at for at, number in enumerate(numbers) if number == unit] for unit in range(max(numbers) + 1)]


def _sum(tensors: list[torch.Tensor]) -> torch.Tensor:
    return torch.stack(tensors).sum(0)


def _mean(tensors: list[torch.Tensor]) -> torch.Tensor:
    return _sum(tensors) / len(tensors)
