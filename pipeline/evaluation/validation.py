"""A model's score on the validation set D^v, cheap enough to compute after every step (Eq. 13)."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.compute import distributed
from pipeline.data.texts import Texts
from pipeline.evaluation.predicting import outputs, padded_batches
from pipeline.evaluation.scoring import decide, headline, loss, scores
from pipeline.params.types import ScoreName


@dataclass(frozen=True, order=True, slots=True)
class Score:
    """A model's score, greater is better: the metric (R² if undefined: −1), then minus the loss."""

    metric: float
    minus_loss: float

    def curves(self) -> dict[str, float]:
        """The score by the names of its curves."""
        return {"validation/metric": self.metric, "validation/loss": -self.minus_loss}


class Validation:
    """The validation texts, encoded and padded once, in batches sorted by length."""

    def __init__(
        self, texts: Texts, tokenizer: PreTrainedTokenizerFast, max_length: int, score: ScoreName = "auto"
    ) -> None:
        self.texts = texts
        self.metric = headline(score, texts.labels, texts.names)
        """Name of the metric: `accuracy`, `f1`, `mcc` or `r2`."""
        self.padded = padded_batches(tokenizer, texts, max_length)
        self.inside: Callable[[int], AbstractContextManager[None]] | None = None
        """The context in which a model reads a batch, as in `outputs`."""

    def score(self, model: PreTrainedModel) -> Score:
        """Score a model, which stays in its mode; with several processes all return the first one's score."""
        return self.score_of(outputs(model, self.padded, inside=self.inside))

    def score_of(self, logits: np.ndarray) -> Score:
        """Score a model's outputs for the texts, (texts, outputs)."""
        labels, names = self.texts.labels, self.texts.names
        metric = scores(labels, decide(logits, names), names)[self.metric]
        return Score(
            *distributed.broadcast_floats([-1.0 if math.isnan(metric) else metric, -loss(labels, logits, names)])
        )
