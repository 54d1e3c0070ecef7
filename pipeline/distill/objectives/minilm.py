"""MiniLM's loss (Wang et al. 2020, MiniLM: Deep Self-Attention Distillation)."""

import torch
from torch.special import xlogy

from pipeline.models.forward import States


def relations_loss(student: States, teacher: States, mask: torch.Tensor) -> torch.Tensor:
    """L_AT + L_VR: attention and value relations of the last layers (their Eq. 9); (texts,)."""
    student_relation, teacher_relation = (value_relation(states.values, mask) for states in (student, teacher))
    attention = divergence_loss(student.attention, teacher.attention, mask)
    return attention + divergence_loss(student_relation, teacher_relation, mask)


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


def value_relation(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """How the values of a text's tokens are related: softmax(V Vᵀ / √width), head by head (their Eq. 7).

    Args:
        values: (texts, heads, tokens, width of a head).
        mask: (texts, tokens).

    Returns probabilities, (texts, heads, tokens, tokens), 0 in columns of padding.
    """
    products = values @ values.transpose(-1, -2) * values.shape[-1] ** -0.5
    absent = mask[:, None, None, :] == 0
    return products.masked_fill(absent, torch.finfo(products.dtype).min).softmax(-1)
