"""BERT-PKD's losses (Sun et al. 2019, Patient Knowledge Distillation for BERT Model Compression)."""

from collections.abc import Sequence

import torch
from torch.nn.functional import cross_entropy, normalize

from pipeline.models.layer_map import layer_map


def hard_loss(student: torch.Tensor, labels: torch.Tensor, *, regression: bool) -> torch.Tensor:
    """Cross-entropy with the originals' labels (their Eq. 4); in regression the squared difference.

    Args:
        student: logits, (texts, labels).
        labels: (texts,), class indices or numbers.

    Returns (texts,).
    """
    if regression:
        return (student[:, 0] - labels).square()
    return cross_entropy(student, labels, reduction="none")


def patience_loss(student: Sequence[torch.Tensor], teacher: Sequence[torch.Tensor]) -> torch.Tensor:
    """Squared distance of the normalised [CLS] states of the layers below the last, PKD-skip (their Eq. 7).

    Args:
        student, teacher: the embeddings' output and each layer's, (texts, tokens, width), of equal width.

    Returns (texts,): the mean over the student's layers but its last, which the prediction trains; 0 for a student
    of one layer.
    """
    distances = [
        (normalize(states[:, 0], dim=-1) - normalize(teacher[layer][:, 0], dim=-1)).square().sum(-1)
        for states, layer in zip(student[1:-1], layer_map(len(student) - 1, len(teacher) - 1)[:-1], strict=True)
    ]
    return torch.stack(distances).mean(0) if distances else student[-1].new_zeros(len(student[-1]))
