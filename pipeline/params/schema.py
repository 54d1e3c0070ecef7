"""The schema of params.yaml: its top level and the smaller sections, and the checks between sections.

`data` is in `data.py`; `teacher`, `generator` and `student` are in `models.py`; `objectives` is in `objectives.py`.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.params.data import Data
from pipeline.params.methods import MethodName
from pipeline.params.models import Fit, Generator, PerDomain, Student, StudentFT, Teacher
from pipeline.params.objectives import OBJECTIVES, Objectives
from pipeline.params.types import (
    Count,
    Domain,
    Domains,
    Engine,
    Few,
    Positive,
    Probability,
    Rate,
    Section,
    Share,
    Temperature,
    Weight,
)

LAST_ROUND = 3
"""The last round that dvc.yaml has stages for."""


class Augment(Section):
    """Sampling neighbours z ~ P_s(z|x) (Eq. 10)."""

    method: MethodName = "neighbours"
    """z ~ P_s (Eq. 10), or another method: EDA, CBERT, TinyBERT's, BiLSTM_SOFT's rules; see docs/paper.md."""
    samples: PerDomain = PerDomain(source=1, target=20)
    """Neighbours of each original."""
    count: Literal["rescaled", "literal", "vocabulary_free"] = "rescaled"
    """How Eq. 11 counts the texts at a distance; see docs/paper.md."""
    min_distance: Count = 1
    """The smallest number of changed words; 0 allows copies."""
    fill: Literal["parallel", "sequential"] = "parallel"
    """Fill all masks of a neighbour in one pass, or one at a time from left to right (Eq. 12)."""
    side: Literal["both", "first", "second"] = "both"
    """Which text of a pair may change."""
    shards: Few = 8
    """Files of each domain, each of them a unit of work."""


class Cache(Section):
    """What is stored of the teacher's outputs."""

    logits: bool = True
    """Predictions, float32: 4 bytes a class a text."""
    hidden: bool = True
    """Last hidden states, float16: 2 bytes × tokens × width a text."""
    attention: bool = True
    """Last-layer attention probabilities, float16: 2 bytes × heads × tokens² a text."""


class Distill(Fit):
    """The loop of Algorithm 1."""

    epochs: Positive = 3
    """Epochs over originals and neighbours; each is an episode of the selector."""
    least_steps: Count = 240
    """With fewer steps than this, more epochs are made: few texts are seen more often."""
    originals: Domains = ["target"]
    """Domains whose original training texts are distilled on besides the neighbours."""
    states_first: Annotated[Share, Field(lt=1)] = 0.0
    """Share of the epochs, from the first, with the losses about states alone; the others have the losses about
    predictions alone (TinyBERT). 0: all losses in all epochs."""


class Selector(Section):
    """The policy π_φ that keeps or drops each neighbour (Eqs. 13–15)."""

    kind: Literal["reinforced", "random", "none"] = "reinforced"
    """A policy trained by Eq. 15, a random choice with probability `initial_keep`, or every neighbour kept."""
    reward: Literal["text", "loss", "metric"] = "text"
    """Eq. 13: `metric` and `loss` reward a whole step by the validation metric (paper) or the finer validation loss.
    `text` rewards each text by its own part in the progress on the validation loss, to first order."""
    every: Positive = 15
    """Steps from one reward of texts to the next (`text`); the policy learns after each."""
    caution: Rate = 0.1
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


class Refine(Fit):
    """How the generator is refined with the neighbours of the previous round (Eq. 9)."""

    epochs: Positive = 2
    """Epochs over the neighbours of the texts that have several."""
    scale: Weight = 4.0
    """Weight of π in the reward R_φ: π = 1 counts as much as this many standard deviations of log P_s among the
    neighbours of one original."""


class Evaluate(Section):
    """The measurement on the target's test set."""

    student_ft: StudentFT = StudentFT()
    """How the baseline is fine-tuned."""
    resamples: Annotated[int, Field(ge=100, le=1_000_000)] = 2000
    """Bootstrap resamples of each 95 % interval."""


class Export(Section):
    """The student as ONNX."""

    max_drop: Share = 0.02
    """How much accuracy or Pearson's r on the test set a conversion may lose; one text may always differ."""
    vocabulary: Literal["full", "seen"] = "full"
    """seen: tokens that no original and no neighbour has are removed; their words become several shorter tokens."""


class Params(Section):
    """The whole of params.yaml."""

    task: Literal["classification", "regression"] = "classification"
    """Classification into any number of classes, or regression of a number."""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1, strict=True)] = 1
    """Seed of every random draw of every stage."""
    alpha: Temperature = 1.0
    """Eq. 11: how far neighbours stray from their originals."""
    temperature: Temperature = 1.0
    """T of Eq. 12: how varied the new words are."""
    max_length: Annotated[int, Field(ge=8, le=1_000_000)] = 128
    """Tokens of a text or pair that the models see; what is longer is cut."""
    rounds: Annotated[Positive, Field(le=LAST_ROUND)] = 1
    """1: neighbours of the generator as it is. 2: the generator is refined by how useful they were (Eqs. 5–9) and draws
    new neighbours, with which the training of student and selector continues. 3: once more."""
    engine: Engine = "local"
    """Whether neighbours and the teacher's cache are computed in one process or by Ray. Results are the same."""
    data: Data
    """Where the texts come from."""
    teacher: Teacher = Teacher()
    generator: Generator = Generator()
    augment: Augment = Augment()
    cache: Cache = Cache()
    student: Student = Student()
    objectives: Objectives = Objectives()
    distill: Distill = Distill()
    selector: Selector = Selector()
    refine: Refine = Refine()
    evaluate: Evaluate = Evaluate()
    export: Export = Export()

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        if self.task == "regression" and self.data.target.per_class is not None:
            raise ValueError("data.target.per_class: regression has no classes; accepted: rows or fraction")
        if self.data.source is None and self.teacher.domains == ["source"]:
            raise ValueError("teacher.domains: got [source], but data.source is null; accepted: [target]")
        domains: list[Domain] = ["target"] if self.data.source is None else ["source", "target"]
        if not any(getattr(self.augment.samples, domain) or domain in self.distill.originals for domain in domains):
            raise ValueError(
                f"augment.samples: 0 for {' and '.join(domains)}, and distill.originals is {self.distill.originals}; "
                "accepted: neighbours or originals of a domain that has texts"
            )
        if self.rounds > 1 and self.augment.method != "neighbours":
            raise ValueError(f"rounds: got {self.rounds} with augment.method: {self.augment.method}; accepted: 1")
        if self.rounds > 1 and max(getattr(self.augment.samples, domain) for domain in domains) < 2:
            raise ValueError(
                f"rounds: got {self.rounds}, but no text has two neighbours to compare; "
                "accepted: 1, or augment.samples of 2 or more of a domain"
            )
        self._check_objectives()
        for kind, (key, off) in self.cache_needs().items():
            if not getattr(self.cache, kind):
                raise ValueError(f"cache.{kind}: got false, but {key} needs it; accepted: true, or {key}: {off}")
        return self

    def _check_objectives(self) -> None:
        states = self.objectives.active(lambda objective: objective.kind == "state")
        predictions = self.objectives.active(lambda objective: objective.kind == "prediction")
        if self.distill.states_first and not (states and predictions):
            raise ValueError(
                f"distill.states_first: got {self.distill.states_first}, but all objectives with a weight above 0 are "
                f"about {'states' if states else 'predictions'}; accepted: 0, or objectives of both kinds"
            )
        if self.objectives.patience and self.student.init != "pretrained" and self.student.layers == 1:
            raise ValueError(
                "objectives.patience: the student has one layer, and this loss trains the layers below the last; "
                "accepted: student.layers of 2 or more, or objectives.patience: 0"
            )
        if self.student.init != "bilstm":
            return
        if states:
            off = " and ".join(f"objectives.{name}: 0" for name in states)
            raise ValueError(
                f"student.init: got bilstm, which has no attention or hidden states to compare; "
                f"accepted: a transformer, or {off}"
            )
        if self.selector.representations:
            raise ValueError("selector.representations: got true, but a bilstm has no [CLS] states; accepted: false")

    def cache_needs(self) -> dict[str, tuple[str, str]]:
        """What distillation reads of the teacher's cache.

        Returns, for each of `attention`, `hidden` and `logits` that is read, the parameter that needs it and the value
        with which it does not.
        """
        needs: dict[str, tuple[str, str]] = {}
        for name in self.objectives.active(lambda objective: not objective.live):
            for kind in OBJECTIVES[name].reads:
                needs.setdefault(kind, (f"objectives.{name}", "0"))
        if self.selector.kind == "reinforced":
            needs.setdefault("logits", ("selector.kind", "none"))
            if self.selector.representations:
                needs.setdefault("hidden", ("selector.representations", "false"))
        return needs
