"""The losses of the paper, Eqs. 2 and 3, one number a text, so that the selector can leave texts out."""

import torch
from torch.nn.functional import log_softmax, softmax


def attention_loss(student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """L_att: mean squared difference of the last layers' attention probabilities (Eq. 2, left; p. 3).

    Args:
        student, teacher: (texts, heads, tokens, tokens), equal head counts.
        mask: (texts, tokens), 1 where there is a token; rows and columns of padding are left out.

    Returns (texts,): the mean over heads and over the m × m entries of each text.
    """
    real = mask.to(student.dtype)
    entries = real[:, None, :, None] * real[:, None, None, :]
    squared = (student - teacher.to(student.dtype)).square() * entries
    return squared.sum((1, 2, 3)) / (student.shape[1] * entries.sum((1, 2, 3)).clamp_min(1))


def hidden_loss(student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """L_hidden: mean squared difference of the last hidden states (Eq. 2, right; p. 3).

    Args:
        student: (texts, tokens, width of the teacher), the student's states after the learned W.
        teacher: (texts, tokens, width).
        mask: (texts, tokens), 1 where there is a token.

    Returns (texts,): the mean over each text's tokens and the width.
    """
    real = mask.to(student.dtype)
    squared = (student - teacher.to(student.dtype)).square().mean(-1) * real
    return squared.sum(1) / real.sum(1).clamp_min(1)


def dark_loss(student: torch.Tensor, teacher: torch.Tensor, *, temperature: float, regression: bool) -> torch.Tensor:
    """L_dark: soft cross-entropy of the teacher's and the student's predictions at T_KD (Eq. 3, p. 3).

    In regression, the squared difference of the two outputs.

    Args:
        student, teacher: logits, (texts, labels).

    Returns (texts,).
    """
    if regression:
        return (student - teacher).square().mean(-1)
    return -(softmax(teacher / temperature, -1) * log_softmax(student / temperature, -1)).sum(-1)
