"""TinyBERT's losses (Jiao et al. 2020, TinyBERT: Distilling BERT for Natural Language Understanding)."""

from collections.abc import Callable, Sequence

import torch

from pipeline.distill.objectives.l2a import attention_loss, hidden_loss
from pipeline.models.layer_map import layer_map


def scores_loss(student: Sequence[torch.Tensor], teacher: Sequence[torch.Tensor], mask: torch.Tensor) -> torch.Tensor:
    """Mean squared difference of the attention scores, before the softmax, of the mapped layers (their Eq. 7).

    Args:
        student, teacher: of each layer, (texts, heads, tokens, tokens), equal head counts.
        mask: (texts, tokens), 1 where there is a token.

    Returns (texts,): the sum over the student's layers.
    """
    pairs = zip(student, layer_map(len(student), len(teacher)), strict=True)
    return torch.stack([attention_loss(scores, teacher[layer - 1], mask) for scores, layer in pairs]).sum(0)


def layers_loss(
    student: Sequence[torch.Tensor],
    teacher: Sequence[torch.Tensor],
    mask: torch.Tensor,
    project: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """Mean squared difference of embeddings and mapped hidden states after one shared W (their Eqs. 8 and 9).

    Args:
        student, teacher: the embeddings' output and each layer's, (texts, tokens, width).
        mask: (texts, tokens).
        project: W, from the student's width to the teacher's.

    Returns (texts,): the sum over embeddings and layers.
    """
    pairs = zip(student, [0, *layer_map(len(student) - 1, len(teacher) - 1)], strict=True)
    return torch.stack([hidden_loss(project(states), teacher[layer], mask) for states, layer in pairs]).sum(0)
