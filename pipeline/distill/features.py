"""The state of a neighbour as the policy sees it (Eqs. 13–15)."""

from collections.abc import Sequence

import torch
from torch.nn.functional import log_softmax

from pipeline.distill.dataset import DistillationDataset
from pipeline.distill.objectives.pkd import hard_loss
from pipeline.distill.state import Batch
from pipeline.params.schema import Params


def batch_features(dataset: DistillationDataset, batch: Batch, params: Params) -> torch.Tensor:
    """The state of a batch's local rows, (local, features)."""
    rows = batch.rows[batch.local]
    representations: list[torch.Tensor] = []
    if params.selector.reads_states:
        teacher_hidden = dataset.cache.hidden(dataset.cache_rows[rows])
        representations = [batch.states.hidden[:, 0].cpu(), teacher_hidden[:, 0].float()]
    return policy_features(
        batch.states.logits.cpu(),
        dataset.teacher_logits(rows),
        dataset.labels[rows],
        dataset.log_p[rows],
        [loss.cpu() for loss in batch.losses.values()],
        regression=params.task == "regression",
        representations=representations,
    )


def policy_features(
    student: torch.Tensor,
    teacher: torch.Tensor,
    labels: torch.Tensor,
    log_p: torch.Tensor,
    losses: Sequence[torch.Tensor],
    *,
    regression: bool,
    representations: Sequence[torch.Tensor] = (),
) -> torch.Tensor:
    """The state of each neighbour, the policy's input: (texts, `feature_count`), without gradient.

    Probabilities (regression: outputs) of teacher and student, the loss of each against the original's label, the
    distillation losses, log P_s(z|x) standardised over all neighbours, and representations if given.

    Args:
        student, teacher: logits, (texts, labels).
        labels: (texts,), class indices or numbers.
        log_p: (texts,), standardised.
        losses: distillation losses, each (texts,).
        representations: [CLS] states, each (texts, width).
    """
    parts: list[torch.Tensor] = []
    for logits in (teacher, student):
        predictions = logits if regression else log_softmax(logits, -1).exp()
        parts += [predictions, hard_loss(logits, labels, regression=regression).unsqueeze(1)]
    parts += [loss.unsqueeze(1) for loss in losses]
    parts += [log_p.unsqueeze(1), *representations]
    return torch.cat([part.detach().float() for part in parts], dim=1)


def feature_count(outputs: int, losses: int, representations: int = 0) -> int:
    """Number of features of each neighbour in `policy_features`.

    Args:
        outputs: logits of a model.
        losses: number of distillation losses.
        representations: their widths, summed.
    """
    return 2 * (outputs + 1) + losses + 1 + representations
