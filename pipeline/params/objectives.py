"""The losses a student can be trained with: the weight of each, and what it compares and reads of the teacher."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import model_validator

from pipeline.params.types import Section, Temperature, Weight

State = Literal["logits", "hidden", "attention", "queries", "keys", "values", "layers", "scores"]
"""What a forward pass can give: the fields of `pipeline.models.forward.States`."""


@dataclass(frozen=True)
class Objective:
    """What one loss compares and reads: the forward passes, the checks and the needs of the cache follow from it."""

    kind: Literal["prediction", "state"]
    """Whether it is about what the student predicts or about what happens inside it."""
    reads: tuple[State, ...] = ()
    """What it reads of a forward pass of student and teacher."""
    equal: tuple[Literal["heads", "width"], ...] = ()
    """What must be equal in student and teacher."""
    maps_layers: bool = False
    """Whether each student layer is compared with a teacher layer of its own (`pipeline.models.layer_map`)."""
    live: bool = False
    """Whether the teacher must run beside the student, because its cache does not hold what the loss reads."""


class Objectives(Section):
    """Weights of the losses (Eqs. 1–3, and those of other methods); 0 switches one off."""

    attention: Annotated[Weight, Objective("state", ("attention",), equal=("heads",))] = 1.0
    """L_att, Eq. 2."""
    hidden: Annotated[Weight, Objective("state", ("hidden",))] = 1.0
    """L_hidden, Eq. 2."""
    dark: Annotated[Weight, Objective("prediction", ("logits",))] = 1.0
    """L_dark, Eq. 3."""
    temperature: Temperature = 1.0
    """T_KD of Eq. 3."""
    # The teacher's logits label a source text whose class the target does not have.
    hard: Annotated[Weight, Objective("prediction", ("logits",))] = 0.0
    """Cross-entropy with the label of the text or, for a neighbour, of its original (PKD)."""
    logits: Annotated[Weight, Objective("prediction", ("logits",))] = 0.0
    """Squared difference of the logits (BiLSTM_SOFT)."""
    cosine: Annotated[Weight, Objective("state", ("hidden",), equal=("width",))] = 0.0
    """One minus the cosine of the last hidden states (DistilBERT)."""
    vectors: Annotated[Weight, Objective("state", ("hidden",), equal=("width",))] = 0.0
    """One minus the cosine of the mean states of a text, or of each of two (Reimers and Gurevych 2020)."""
    masked_lm: Annotated[Weight, Objective("state")] = 0.0
    """Masked-language-model loss of the student, in a forward pass of its own (DistilBERT)."""
    patience: Annotated[Weight, Objective("state", ("layers",), equal=("width",), maps_layers=True, live=True)] = 0.0
    """Distance of the normalised [CLS] states of mapped layers (PKD)."""
    relations: Annotated[Weight, Objective("state", ("attention", "queries", "keys", "values"), live=True)] = 0.0
    """KL divergence of the last layer's attention and of its value relations (MiniLM). If the numbers of heads differ:
    of query, key and value relations, in a number of heads that suits both (MiniLMv2)."""
    scores: Annotated[Weight, Objective("state", ("scores",), equal=("heads",), maps_layers=True, live=True)] = 0.0
    """Squared difference of the attention scores of mapped layers (TinyBERT)."""
    layers: Annotated[Weight, Objective("state", ("layers",), maps_layers=True, live=True)] = 0.0
    """Squared difference of embeddings and mapped hidden states after W (TinyBERT)."""

    def active(self, condition: Callable[[Objective], bool] = lambda _: True) -> list[str]:
        """Names of the losses with a weight above 0 whose `Objective` meets a condition, in the order above."""
        return [name for name, objective in OBJECTIVES.items() if getattr(self, name) and condition(objective)]

    def reads(self, names: Sequence[str] | None = None, *, live: bool | None = None) -> dict[State, str]:
        """What losses read of a forward pass, each with the name of the first loss that reads it.

        Args:
            names: of the losses; by default all that are active.
            live: only the losses for which the teacher must run, or only those which its cache is enough for.
        """
        read = [
            name
            for name in (self.active() if names is None else names)
            if live is None or OBJECTIVES[name].live == live
        ]
        # Of equal keys the last is kept.
        return {state: name for name in reversed(read) for state in OBJECTIVES[name].reads}

    @model_validator(mode="after")
    def _any_active(self) -> Self:
        if not self.active():
            raise ValueError("all weights are 0; accepted: at least one above 0")
        return self


OBJECTIVES: dict[str, Objective] = {
    name: annotation
    for name, field in Objectives.model_fields.items()
    for annotation in field.metadata
    if isinstance(annotation, Objective)
}
"""Each loss's description, by the name of its weight."""
