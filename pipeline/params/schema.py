"""The schema of params.yaml: every knob with its meaning, unit and equation, checked whole before any work."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.params.data import Data
from pipeline.params.models import Fit, Generator, PerDomain, Student, StudentFT, Teacher
from pipeline.params.objectives import PREDICTIONS, STATES, Objectives
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
"""As many rounds as dvc.yaml has stages for."""


class Augment(Section):
    """Sampling neighbours z ~ P_s(z|x) (Eq. 10)."""

    method: Literal["neighbours", "eda", "cbert", "tinybert", "rules"] = "neighbours"
    """z ~ P_s (Eq. 10), or a rival's way: EDA, CBERT, TinyBERT's, BiLSTM_SOFT's rules; see docs/paper.md."""
    samples: PerDomain = PerDomain(source=1, target=20)
    """Neighbours of each original."""
    count: Literal["rescaled", "literal", "vocabulary_free"] = "rescaled"
    """How Eq. 11 counts the texts at a distance; see docs/paper.md."""
    min_distance: Count = 1
    """The smallest number of changed words; 0 allows copies."""
    fill: Literal["parallel", "sequential"] = "parallel"
    """All masks of a neighbour in one pass, or one at a time from left to right (Eq. 12)."""
    side: Literal["both", "first", "second"] = "both"
    """Which text of a pair may change."""
    shards: Few = 8
    """Files, and units of work, a domain."""


class Cache(Section):
    """What is kept of the teacher."""

    logits: bool = True
    """Predictions, float32: 4 bytes a class a text."""
    hidden: bool = True
    """Last hidden states, float16: 2 bytes × tokens × width a text."""
    attention: bool = True
    """Last-layer attention probabilities, float16: 2 bytes × heads × tokens² a text."""


class Distill(Fit):
    """The loop of Algorithm 1."""

    epochs: Positive = 3
    """Passes through all that is imitated; each is an episode of the selector."""
    least_steps: Count = 240
    """More passes are made until there are so many steps: few texts are gone through more often."""
    originals: Domains = ["target"]
    """Domains whose real training texts are imitated beside their neighbours."""
    states_first: Annotated[Share, Field(lt=1)] = 0.0
    """Share of the epochs, the first, in which the losses of states alone count, and in the rest those of predictions
    alone (TinyBERT); 0: all of them always."""


class Selector(Section):
    """The policy π_φ that keeps or drops a neighbour (Eqs. 13–15)."""

    kind: Literal["reinforced", "random", "none"] = "reinforced"
    """A policy that learns (Eq. 15), chance at the rate of `initial_keep`, or every neighbour kept."""
    reward: Literal["metric", "loss"] = "metric"
    """Eq. 13 on the validation metric (paper) or on the validation loss, which is finer."""
    discount: Share = 0.9
    """γ of the return, Eq. 14."""
    normalise_returns: bool = False
    """Give the returns of an episode mean 0 and deviation 1."""
    representations: bool = False
    """Add the [CLS] states of teacher and student to the policy's input; needs cache.hidden."""
    hidden: Few = 128
    """Hidden units of the policy."""
    learning_rate: Rate = 3e-5
    """Of Adam, one step an episode (Eq. 15)."""
    initial_keep: Probability = 0.9
    """Share that an untrained policy, or chance, keeps."""


class Refine(Fit):
    """How the generator learns from the neighbours of the round before (Eq. 9)."""

    epochs: Positive = 2
    """Passes through the neighbours of texts that have several."""
    scale: Weight = 4.0
    """π's part in R_φ: what a neighbour's being kept for sure weighs, in deviations of log P_s among its original's."""


class Evaluate(Section):
    """The measurement on the target's test set."""

    student_ft: StudentFT = StudentFT()
    """How the comparison is fine-tuned."""
    resamples: Annotated[int, Field(ge=100, le=1_000_000)] = 2000
    """Bootstrap resamples behind each 95 % interval."""


class Export(Section):
    """The student as ONNX."""

    max_drop: Share = 0.02
    """Of accuracy or Pearson's r on the test set, what a conversion may lose; a single text it may always."""
    vocabulary: Literal["full", "seen"] = "full"
    """seen: pieces that neither an original nor a neighbour has are cut off; words with them fall into shorter ones."""


class Params(Section):
    """The whole of params.yaml."""

    task: Literal["classification", "regression"] = "classification"
    """Any number of classes, or a number."""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1, strict=True)] = 1
    """Decides every random draw of every stage."""
    alpha: Temperature = 1.0
    """Eq. 11: how far neighbours stray."""
    temperature: Temperature = 1.0
    """Eq. 12: T, how varied the words are."""
    max_length: Annotated[int, Field(ge=8, le=1_000_000)] = 128
    """Tokens of a text or pair that any model sees; what is longer is cut."""
    rounds: Annotated[Positive, Field(le=LAST_ROUND)] = 1
    """1: neighbours of the generator as it is. 2: it learns from how they did (Eqs. 5–9), draws others, and student
    and selector go on with those; 3: once more."""
    engine: Engine = "local"
    """Where neighbours are drawn and the teacher is asked: in one process, or by Ray. It changes no result."""
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
        self._check_losses()
        for kind, (key, off) in self.needs().items():
            if not getattr(self.cache, kind):
                raise ValueError(f"cache.{kind}: got false, but {key} needs it; accepted: true, or {key}: {off}")
        return self

    def _check_losses(self) -> None:
        states, predictions = self.objectives.on(STATES), self.objectives.on(PREDICTIONS)
        if self.distill.states_first and not (states and predictions):
            raise ValueError(
                f"distill.states_first: got {self.distill.states_first}, but all objectives that are on are of "
                f"{'states' if states else 'predictions'}; accepted: 0, or objectives of both kinds"
            )
        if self.objectives.patience and self.student.model is None and self.student.layers == 1:
            raise ValueError(
                "objectives.patience: the student has one layer, and it teaches those below the last; "
                "accepted: student.layers of 2 or more, or objectives.patience: 0"
            )
        if self.student.init != "bilstm":
            return
        if states:
            off = " and ".join(f"objectives.{name}: 0" for name in states)
            raise ValueError(
                f"student.init: got bilstm, which has none of the states to imitate; accepted: a transformer, or {off}"
            )
        if self.selector.representations:
            raise ValueError("selector.representations: got true, but a bilstm has no [CLS] states; accepted: false")

    def needs(self) -> dict[str, tuple[str, str]]:
        """What distilling reads of the teacher's cache, each with the key that wants it and the value that does not."""
        reinforced = self.selector.kind == "reinforced"
        wants = [
            ("logits", "objectives.dark", "0", self.objectives.dark > 0),
            ("logits", "objectives.logits", "0", self.objectives.logits > 0),
            # A source text of a class that the target lacks has the teacher's guess for a label.
            ("logits", "objectives.hard", "0", self.objectives.hard > 0),
            ("logits", "selector.kind", "none", reinforced),
            ("hidden", "objectives.hidden", "0", self.objectives.hidden > 0),
            ("hidden", "objectives.cosine", "0", self.objectives.cosine > 0),
            ("hidden", "selector.representations", "false", reinforced and self.selector.representations),
            ("attention", "objectives.attention", "0", self.objectives.attention > 0),
        ]
        return {kind: (key, off) for kind, key, off, wanted in reversed(wants) if wanted}
