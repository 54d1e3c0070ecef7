"""The loss of distilled sentence encoders (Reimers and Gurevych 2020): a text's vector is to be the teacher's."""

import torch
from torch.nn.functional import cosine_similarity


def vectors_loss(
    student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor, second: torch.Tensor
) -> torch.Tensor:
    """One minus the cosine of the two mean states of a text; of two texts, each by itself, the mean of both.

    Args:
        student, teacher: last hidden states, (texts, tokens, width), equal widths.
        mask: (texts, tokens), 1 where there is a token.
        second: (texts, tokens), 1 at the tokens of the second of two texts.

    Returns (texts,).
    """
    sides = torch.stack([mask * (1 - second), mask * second])
    # A sum of half-precision states, as the cache has them, may be beyond the largest such number.
    ours, theirs = (torch.einsum("sbt,btw->sbw", sides.float(), states.float()) for states in (student, teacher))
    present = sides.any(-1)
    distances = 1 - cosine_similarity(ours, theirs, dim=-1)
    return (distances * present).sum(0) / present.sum(0).clamp_min(1)
