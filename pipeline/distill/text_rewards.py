"""The reward of a text: what a small step of the output layer on it alone would do for the student's loss on D^v.

Gradients are taken as if the student gave every text the same answer. At its own answers the loss on D^v falls with all
that makes it surer, as long as it is less sure than the labels: each text of which the teacher is unsure would seem to
harm. If it is too sure, each text that is taught well would.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy, mse_loss
from transformers import PreTrainedModel

from pipeline.compute.batching import TOKENS, Inputs, Rows
from pipeline.compute.precision import precision
from pipeline.data.texts import Texts
from pipeline.evaluation.predicting import PaddedBatches
from pipeline.evaluation.validation import Score, Validation
from pipeline.models.forward_shortcuts import last_layer_first_token_only
from pipeline.models.head_rows import output_layer
from pipeline.training.checkpoint import Tensors

STEP = 0.01
"""How far the weights are moved, each way, to see how the losses of texts change."""


def output_weights(student: PreTrainedModel) -> list[torch.Tensor]:
    """The weights of the layer that gives the logits; all that are trained, if the student's family has another."""
    if found := output_layer(student):
        return [*found[1].parameters()]
    return [weight for weight in student.parameters() if weight.requires_grad]


def prior_logits(texts: Texts) -> torch.Tensor:
    """The logarithms of the classes' shares, with one text added to each class so that none is 0; or the mean number.

    Returns (labels,), the logits that say nothing of any one text.
    """
    if not texts.names:
        return torch.tensor([float(texts.labels.mean())])
    return torch.from_numpy(np.log(np.bincount(texts.labels, minlength=len(texts.names)) + 1.0)).float().log_softmax(0)


def validation_gradient(
    student: PreTrainedModel, validation: Validation, prior: torch.Tensor
) -> tuple[list[torch.Tensor], Score]:
    """The gradient of the loss on D^v at its `prior_logits`, for each of `output_weights`, and the student's score."""
    weights = output_weights(student)
    gradient: list[torch.Tensor] = []
    labels, regression = torch.from_numpy(validation.texts.labels), not validation.texts.names
    logits = torch.zeros(len(labels), student.config.num_labels)
    with _evaluating(student, weights):
        for positions, batch in _slices(validation.padded):
            rows = torch.from_numpy(positions)
            found = student(**batch).logits.float()
            wanted = labels[rows].to(found.device)
            # In value the same for all texts, in gradient the student's.
            answers = prior.to(found.device) + found - found.detach()
            loss = mse_loss(answers[:, 0], wanted) if regression else cross_entropy(answers, wanted)
            parts = torch.autograd.grad(loss * (len(rows) / len(labels)), weights, materialize_grads=True)
            # Not in place: two parts may share their memory, as those of two weights of which the model takes the sum.
            gradient = [total + part for total, part in zip(gradient, parts, strict=True)] if gradient else list(parts)
            logits[rows] = found.detach().cpu()
    return gradient, validation.score_of(logits.numpy())


def _slices(padded: PaddedBatches) -> Iterator[tuple[Rows, Inputs]]:
    """The batches, which on an accelerator are large, in parts of at most `TOKENS` tokens."""
    for rows, batch in zip(padded.rows, padded.batches, strict=True):
        size = max(1, TOKENS // batch["input_ids"].shape[1])
        for start in range(0, len(rows), size):
            part = slice(start, start + size)
            yield rows[part], {name: values[part] for name, values in batch.items()}


@torch.no_grad()
def moved_logits(student: PreTrainedModel, inputs: Tensors, gradient: Sequence[torch.Tensor]) -> torch.Tensor:
    """The student's logits for texts, `output_weights` moved by `STEP` along a gradient, and against it.

    Args:
        inputs: the texts' padded tokens.
        gradient: of the loss on D^v, from `validation_gradient`.

    Returns (texts, 2, labels). The student is left as it was.
    """
    weights = output_weights(student)
    step = STEP / max(norm(gradient), 1e-30)
    start, logits = [weight.clone() for weight in weights], []
    with _evaluating(student, weights, once=True):
        # There, and from there twice as far back.
        for distance in (step, -2 * step):
            for weight, part in zip(weights, gradient, strict=True):
                weight.add_(part, alpha=distance)
            logits.append(student(**inputs).logits.float())
    for weight, before in zip(weights, start, strict=True):
        weight.copy_(before)
    return torch.stack(logits, dim=1)


def text_rewards(
    moved: torch.Tensor,
    loss: Callable[[torch.Tensor], torch.Tensor],
    gradient: Sequence[torch.Tensor],
    prior: torch.Tensor,
) -> torch.Tensor:
    """The reward of each text z, ∇L(z) · ∇L(D^v): how fast the loss on D^v falls in a step of descent on L(z).

    That is the influence of Pruthi et al. 2020 (TracIn), of the output layer alone. It is also how fast L(z) falls in a
    step of descent on the loss on D^v, so that the logits at two places tell it of all texts at once. What changes the
    answers to all texts alike is left out: the mean over the batch of the change of logits. A student that has learnt
    little changes hardly anything else, and every text with the answer that is rarer in D^v would seem to harm.

    Args:
        moved: from `moved_logits`, (texts, 2, labels).
        loss: each text's loss, (texts,), given the student's logits.
        gradient: that of `moved_logits`.
        prior: `prior_logits` of D^v, where both losses are taken.

    Returns (texts,).
    """
    # In float32 the two losses of a text would differ in their last few digits alone.
    moved = moved.double()
    change = (moved[:, 0] - moved[:, 1]) / 2
    change = change - change.mean(0)
    return ((loss(prior + change) - loss(prior - change)) * (norm(gradient) / (2 * STEP))).float()


def norm(gradient: Sequence[torch.Tensor]) -> float:
    """The Euclidean norm of all parts together."""
    return float(torch.stack([part.square().sum() for part in gradient]).sum().sqrt())


@contextmanager
def _evaluating(student: PreTrainedModel, moved: Sequence[torch.Tensor], *, once: bool = False) -> Iterator[None]:
    """Without dropout; in the last layer without the tokens that the classifier does not read.

    An encoder none of whose weights are moved needs no gradients, and few digits.

    Args:
        once: that encoder is given the same texts again and again, and encodes them once.
    """
    training, encoder = student.training, student.base_model
    fixed = not {id(weight) for weight in encoder.parameters()} & {id(weight) for weight in moved}
    forward = encoder.forward
    returned: list[Any] = []

    def encode(*inputs: Any, **options: Any) -> Any:
        if not (once and returned):
            with torch.no_grad(), precision(student.device):
                states = forward(*inputs, **options)
            for name, value in states.items():
                states[name] = value.float() if isinstance(value, torch.Tensor) else value
            returned[:] = [states]
        return returned[0]

    student.eval()
    if fixed:
        # An attribute of the instance hides the method.
        encoder.forward = encode
    try:
        with last_layer_first_token_only(student):
            yield
    finally:
        if fixed:
            del encoder.forward
        student.train(training)
