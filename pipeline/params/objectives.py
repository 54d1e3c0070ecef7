"""The losses a student may be held to: their weights, and what each of them wants of the teacher."""

from collections.abc import Iterable
from typing import Self

from pydantic import model_validator

from pipeline.params.types import Section, Temperature, Weight

PREDICTIONS = ("dark", "hard", "logits")
"""The losses of what the student predicts."""
STATES = ("attention", "hidden", "cosine", "masked_lm", "patience", "relations", "scores", "layers")
"""The losses of what goes on inside it."""
LOSSES = (*PREDICTIONS, *STATES)
BY_TOKEN = ("attention", "hidden", "cosine", "patience", "relations", "scores", "layers")
"""Those that compare student and teacher token by token, or show the teacher the student's tokens."""
BY_HEAD = ("attention", "relations", "scores")
"""Those that compare them head by head."""
BY_WIDTH = ("cosine", "patience")
"""Those that compare states of one width."""
BY_LAYER = ("patience", "scores", "layers")
"""Those that compare layer by layer."""
LIVE = ("patience", "relations", "scores", "layers")
"""Those that want more of the teacher than its cache has."""


class Objectives(Section):
    """Weights of the losses (Eqs. 1–3, and those of rivals); 0 switches one off."""

    attention: Weight = 1.0
    """L_att, Eq. 2."""
    hidden: Weight = 1.0
    """L_hidden, Eq. 2."""
    dark: Weight = 1.0
    """L_dark, Eq. 3."""
    temperature: Temperature = 1.0
    """T_KD of Eq. 3."""
    hard: Weight = 0.0
    """Cross-entropy with the label of the text or, for a neighbour, of its original (PKD)."""
    logits: Weight = 0.0
    """Squared difference of the logits (BiLSTM_SOFT)."""
    cosine: Weight = 0.0
    """One minus the cosine of the last hidden states (DistilBERT)."""
    masked_lm: Weight = 0.0
    """Guessing hidden words, in a pass of its own (DistilBERT)."""
    patience: Weight = 0.0
    """Distance of the normalised [CLS] states of mapped layers (PKD)."""
    relations: Weight = 0.0
    """KL divergence of the last attention, and of the relations of its values (MiniLM)."""
    scores: Weight = 0.0
    """Squared difference of the attention scores of mapped layers (TinyBERT)."""
    layers: Weight = 0.0
    """Squared difference of embeddings and mapped hidden states after W (TinyBERT)."""

    def on(self, names: Iterable[str] = LOSSES) -> list[str]:
        """Those of the losses whose weight is not 0."""
        return [name for name in names if getattr(self, name)]

    @model_validator(mode="after")
    def _one_is_on(self) -> Self:
        if not self.on():
            raise ValueError("all weights are 0; accepted: at least one above 0")
        return self
