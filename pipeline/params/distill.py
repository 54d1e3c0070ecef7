"""The schema of Algorithm 1: the loop and the selector."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.params.models import Fit
from pipeline.params.types import Count, Domains, Few, Positive, Probability, Rate, Section, Share


class Distill(Fit):
    """The loop of Algorithm 1."""

    epochs: Positive = 3
    """Epochs over originals and neighbours; each is an episode of the selector if its reward is that of a step."""
    least_steps: Count = 240
    """With fewer steps than this, more epochs are made: few texts are seen more often."""
    originals: Domains = ["target", "unlabelled"]
    """Domains whose original training texts are distilled on besides the neighbours."""
    dropout: bool = True
    """Whether the student has its model's dropout while it learns."""
    states_first: Annotated[Share, Field(lt=1)] = 0.0
    """Share of the epochs, from the first, with the losses about states alone; the others have the losses about
    predictions alone (TinyBERT). 0: all losses in all epochs."""


class Selector(Section):
    """The policy π_φ that keeps or drops each neighbour (Eqs. 13–15)."""

    kind: Literal["reinforced", "random", "none"] = "reinforced"
    """A policy trained by Eq. 15, a random choice with probability `initial_keep`, or every neighbour kept."""
    originals: bool = False
    """Let it drop originals of the source, and those without a label, as well as neighbours."""
    reward: Literal["text", "loss", "metric"] = "text"
    """Eq. 13: `metric` and `loss` reward a whole step by what `score` names (paper) or by the validation loss, which is
    finer. `text` rewards each text by its own part in the progress on the validation loss, to first order."""
    every: Positive = 12
    """Steps from one reward of texts to the next (`text`); the policy learns after each."""
    caution: Rate = 0.03
    """Weight of π's divergence from `initial_keep` against the rewards of texts, in standard deviations (`text`)."""
    discount: Share = 0.9
    """γ of the return, Eq. 14 (`loss`, `metric`)."""
    normalise_returns: bool = False
    """Scale the returns of an episode to mean 0 and standard deviation 1 (`loss`, `metric`)."""
    representations: bool = False
    """Add the [CLS] states of teacher and student to the policy's input; needs cache.hidden."""
    hidden: Few = 16
    """Hidden units of the policy. The paper: 128."""
    learning_rate: Rate = 0.003
    """Of Adam. The paper: 3e-5, with one step an episode (Eq. 15)."""
    initial_keep: Probability = 0.9
    """Share of neighbours that an untrained policy, or the random choice, keeps."""

    @property
    def reads_states(self) -> bool:
        """Whether there is a policy that sees [CLS] states."""
        return self.kind == "reinforced" and self.representations
