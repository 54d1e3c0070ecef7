"""The start of an encoder of pairs: its head reads the cosine alone, which needs few labels and orders pairs well."""

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.data.texts import Texts
from pipeline.evaluation.predicting import outputs, padded_batches
from pipeline.models.pair_encoder import MODEL_TYPE

Floats = npt.NDArray[np.float64]
NARROWEST = 0.01
"""The least standard deviation of the cosines of a class that is believed."""


@torch.no_grad()
def start_from_cosine(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, texts: Texts, max_length: int
) -> None:
    """Set the head of an encoder of pairs so that its answers follow the cosine of the vectors; others stay.

    A number is the line of least squares on the cosine of these labelled pairs, in the labels' unit; the logits of
    classes are their linear discriminants. The weights of the other features start at zero.
    """
    if model.config.model_type != MODEL_TYPE:
        return
    head = model.classifier
    head.weight.zero_()
    head.bias.zero_()
    head.weight[:, 0] = 1
    cosines = outputs(model, padded_batches(tokenizer, texts, max_length))[:, 0].astype(np.float64)
    fit = discriminants(cosines, texts.labels, len(texts.names)) if texts.names else line(cosines, texts.labels)
    slopes, constants = map(torch.from_numpy, fit)
    head.weight[:, 0] = slopes
    head.bias.copy_(constants)


def line(cosines: Floats, labels: npt.NDArray[np.float32]) -> tuple[Floats, Floats]:
    """Slope and constant of the line of least squares, (1,) each; of equal cosines the slope is 0."""
    apart, numbers = cosines - cosines.mean(), labels.astype(np.float64)
    slope = apart @ numbers / max(apart @ apart, np.finfo(np.float64).tiny)
    return np.array([slope]), np.array([numbers.mean() - slope * cosines.mean()])


def discriminants(cosines: Floats, labels: npt.NDArray[np.int64], classes: int) -> tuple[Floats, Floats]:
    """Slope and constant of each class's log-probability, (classes,) each, if cosines are normal with one variance.

    A class without a pair has the mean of all.
    """
    counts = np.bincount(labels, minlength=classes)
    means = np.where(counts, np.bincount(labels, cosines, classes) / counts.clip(1), cosines.mean())
    variance = max(np.mean((cosines - means[labels]) ** 2), NARROWEST**2)
    shares = (counts + 1) / (len(labels) + classes)
    slopes, constants = means / variance, np.log(shares) - means**2 / (2 * variance)
    # What all classes have in common changes no probability, and in bfloat16 it would hide the differences.
    return slopes - slopes.mean(), constants - constants.mean()
