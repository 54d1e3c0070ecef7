"""MiniLM's loss (Wang et al. 2020, MiniLM: Deep Self-Attention Distillation)."""

from math import gcd

import torch
from torch.special import xlogy

from pipeline.models.forward import States


def relations_loss(student: States, teacher: States, mask: torch.Tensor) -> torch.Tensor:
    """L_AT + L_VR: attention and value relations of the last layers (their Eq. 9); (texts,).

    If the numbers of heads differ: the query, key and value relations of MiniLMv2 (Wang et al. 2021, Eqs. 2-4), for
    which the heads are joined and split into `relation_heads` of each model.
    """
    if student.attention.shape[1] == teacher.attention.shape[1]:
        attention = divergence_loss(student.attention, teacher.attention, mask)
        return attention + _relation_loss(student.values, teacher.values, mask)
    heads = relation_heads(student.values, teacher.values)
    losses = [
        _relation_loss(split(getattr(student, name), heads), split(getattr(teacher, name), heads), mask)
        for name in ("queries", "keys", "values")
    ]
    return torch.stack(losses).sum(0)


def _relation_loss(student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return divergence_loss(vector_relation(student, mask), vector_relation(teacher, mask), mask)


def relation_heads(student: torch.Tensor, teacher: torch.Tensor) -> int:
    """The largest number of heads, no more than the smaller of both, into which both widths can be split.

    Args:
        student, teacher: (texts, heads, tokens, width of a head).
    """
    common = gcd(student.shape[1] * student.shape[3], teacher.shape[1] * teacher.shape[3])
    most = min(student.shape[1], teacher.shape[1])
    return max(heads for heads in range(1, most + 1) if common % heads == 0)


def split(vectors: torch.Tensor, heads: int) -> torch.Tensor:
    """Join the heads of (texts, heads, tokens, width of a head), and split each token's vector into other heads."""
    return vectors.transpose(1, 2).flatten(2).unflatten(2, (heads, -1)).transpose(1, 2)


def divergence_loss(student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """KL divergence of the student's from the teacher's attention, row by row (their Eqs. 6 and 8).

    Args:
        student, teacher: probabilities over the last axis, (texts, heads, tokens, tokens), equal head counts.
        mask: (texts, tokens), 1 where there is a token; rows and columns of padding are left out.

    Returns (texts,): the mean over heads and over each text's rows.
    """
    real = mask.to(student.dtype)
    taught = teacher.to(student.dtype)
    # Where float16 has rounded a probability to 0 the loss must stay finite.
    entries = xlogy(taught, taught) - taught * student.clamp_min(1e-8).log()
    rows = (entries * real[:, None, None, :]).sum(-1) * real[:, None, :]
    return rows.sum((1, 2)) / (student.shape[1] * real.sum(1).clamp_min(1))


def vector_relation(vectors: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """How the values, or other vectors, of a text's tokens are related: softmax(V Vᵀ / √width), head by head (Eq. 7).

    Args:
        vectors: (texts, heads, tokens, width of a head).
        mask: (texts, tokens).

    Returns probabilities, (texts, heads, tokens, tokens), 0 in columns of padding.
    """
    products = vectors @ vectors.transpose(-1, -2) * vectors.shape[-1] ** -0.5
    absent = mask[:, None, None, :] == 0
    return products.masked_fill(absent, torch.finfo(products.dtype).min).softmax(-1)
