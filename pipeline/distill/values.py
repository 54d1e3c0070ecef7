"""The value of a text: what a small step on this text alone would do for the student's loss on D^v."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch.nn.functional import cross_entropy, mse_loss
from transformers import PreTrainedModel

from pipeline.evaluation.validation import Score, Validation
from pipeline.models.forward_shortcuts import last_layer_first_token_only
from pipeline.training.checkpoint import Tensors

STEP = 0.01
"""How far the weights are moved, each way, to see how the losses of texts change."""


def validation_gradient(student: PreTrainedModel, validation: Validation) -> tuple[list[torch.Tensor], Score]:
    """The gradient of the loss on D^v, for each of the student's weights, and the student's score."""
    weights = [weight for weight in student.parameters() if weight.requires_grad]
    gradient = [torch.zeros_like(weight) for weight in weights]
    labels, regression = torch.from_numpy(validation.texts.labels), not validation.texts.names
    logits = torch.zeros(len(labels), student.config.num_labels)
    with _evaluating(student):
        for positions, batch in zip(validation.prepared.rows, validation.prepared.batches, strict=True):
            rows = torch.from_numpy(positions)
            found = student(**batch).logits.float()
            wanted = labels[rows].to(found.device)
            losses = mse_loss(found[:, 0], wanted, reduction="none") if regression else _cross_entropy(found, wanted)
            parts = torch.autograd.grad(losses.sum() / len(labels), weights, allow_unused=True)
            for total, part in zip(gradient, parts, strict=True):
                if part is not None:
                    total += part
            logits[rows] = found.detach().cpu()
    return gradient, validation.score_of(logits.numpy())


@torch.no_grad()
def text_values(
    student: PreTrainedModel,
    inputs: Tensors,
    loss: Callable[[torch.Tensor], torch.Tensor],
    gradient: Sequence[torch.Tensor],
) -> torch.Tensor:
    """The value of each text z, ∇L(z) · ∇L(D^v): how fast the loss on D^v falls in a step of descent on L(z).

    That is also how fast L(z) falls in a step of descent on the loss on D^v. Two forward passes tell it for all texts
    at once: their losses with the weights moved a little that way, and the other way.

    Args:
        inputs: the texts' padded tokens.
        loss: each text's loss, (texts,), given the student's logits.
        gradient: of the loss on D^v, from `validation_gradient`.

    Returns (texts,), on the CPU. The student is left as it was.
    """
    weights = [weight for weight in student.parameters() if weight.requires_grad]
    norm = float(torch.stack([part.square().sum() for part in gradient]).sum().sqrt())
    if norm == 0:
        return torch.zeros(len(inputs["input_ids"]))
    start, losses = [weight.clone() for weight in weights], []
    with _evaluating(student):
        for step in (STEP, -STEP):
            for weight, before, part in zip(weights, start, gradient, strict=True):
                weight.copy_(before + part * (step / norm))
            losses.append(loss(student(**inputs).logits.float()).cpu())
    for weight, before in zip(weights, start, strict=True):
        weight.copy_(before)
    return (losses[0] - losses[1]) * (norm / (2 * STEP))


def _cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return cross_entropy(logits, labels, reduction="none")


@contextmanager
def _evaluating(student: PreTrainedModel) -> Iterator[None]:
    """Without dropout; in the last layer without the tokens that the classifier does not read."""
    training = student.training
    student.eval()
    with last_layer_first_token_only(student):
        yield
    student.train(training)
