"""The scale of a regression's labels: models train on standardised numbers and are saved to answer in the unit."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from transformers import PreTrainedModel

from pipeline.errors import InputError
from pipeline.models.head_rows import output_layer

Numbers = TypeVar("Numbers", np.ndarray, torch.Tensor)


@dataclass(frozen=True)
class LabelScale:
    """Mean and standard deviation of labels; 0 and 1 change nothing, as for classes.

    Squared error and the learning rate of a head have a scale: labels of 1 to 5, of 20 to 100 and of 1950 to 1990 are
    learnt alike only if they are standardised.
    """

    mean: float = 0.0
    deviation: float = 1.0

    @classmethod
    def of(cls, labels: np.ndarray, names: list[str]) -> "LabelScale":
        """The scale of labels (texts,), the target's training labels; of equal numbers the deviation counts as 1."""
        if names or not len(labels):
            return UNSCALED
        numbers = labels.astype(np.float64)
        return cls(float(numbers.mean()), float(numbers.std()) or 1.0)

    def standardised(self, numbers: Numbers) -> Numbers:
        """Numbers of the labels' unit, standardised, of any shape; class indices stay as they are."""
        if self == UNSCALED:
            return numbers
        if isinstance(numbers, torch.Tensor):
            return ((numbers.double() - self.mean) / self.deviation).to(numbers.dtype)
        return ((numbers.astype(np.float64) - self.mean) / self.deviation).astype(numbers.dtype)

    def standardise_head(self, model: PreTrainedModel) -> None:
        """Turn a model that answers in the labels' unit into one that answers with standardised numbers, in place."""
        if self != UNSCALED:
            _affine(model, 1 / self.deviation, -self.mean / self.deviation)

    def put_into_head(self, model: PreTrainedModel) -> None:
        """Turn a model that answers with standardised numbers into one that answers in the labels' unit, in place.

        Mean and deviation go into the last linear layer: the folder needs no other code to answer in the unit.
        """
        if self != UNSCALED:
            _affine(model, self.deviation, self.mean)


UNSCALED = LabelScale()
"""That of classes."""


def last_linear(model: PreTrainedModel) -> tuple[str, torch.nn.Linear]:
    """The linear layer that gives a regression's number, and its name. Raises InputError if a family has it not."""
    found = output_layer(model)
    if found is None or found[1].bias is None:
        family = model.config.model_type
        raise InputError(
            f"task: got regression, but the head of {family} models does not end in a linear layer with a bias; "
            "accepted: classification, or an encoder such as bert or roberta"
        )
    return found


@torch.no_grad()
def _affine(model: PreTrainedModel, factor: float, shift: float) -> None:
    """Multiply a model's answer and add to it, computed in float64."""
    _, linear = last_linear(model)
    linear.weight.copy_(linear.weight.double() * factor)
    linear.bias.copy_(linear.bias.double() * factor + shift)
