"""BiLSTM_SOFT's loss (Tang et al. 2019, Distilling Task-Specific Knowledge from BERT into Simple Neural Networks)."""

import torch


def logits_loss(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Mean squared difference of the logits (their Eq. 1).

    Args:
        student, teacher: (texts, labels).

    Returns (texts,).
    """
    return (student - teacher).square().mean(-1)
