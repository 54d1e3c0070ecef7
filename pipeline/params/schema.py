"""The schema of params.yaml: its top level and the smaller sections, and the checks between sections.

`data` is in `data.py`; `teacher`, `generator` and `student` are in `models.py`; `distill` and `selector` are in
`distill.py`; `objectives` is in `objectives.py`.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.params.data import Data
from pipeline.params.distill import Distill, Selector
from pipeline.params.methods import METHODS, MethodName
from pipeline.params.models import Fit, Generator, Samples, Student, StudentFT, Teacher
from pipeline.params.objectives import Objectives
from pipeline.params.types import (
    Count,
    Engine,
    Few,
    Pattern,
    Positive,
    ScoreName,
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
    samples: Samples = Samples(source=1, target=20)
    """Neighbours of each original."""
    count: Literal["rescaled", "literal", "vocabulary_free"] = "rescaled"
    """How Eq. 11 counts the texts at a distance; see docs/paper.md."""
    min_distance: Count = 1
    """The smallest number of changed words; 0 allows copies."""
    fill: Literal["parallel", "sequential"] = "parallel"
    """Fill all masks of a neighbour in one pass, or one at a time from left to right (Eq. 12)."""
    side: Literal["both", "first", "second"] = "both"
    """Which text of a pair may change."""
    shared: Literal["each", "alike", "kept"] = "each"
    """The words that both texts of a pair have: each occurrence changes by itself, all change into the same word, or
    none changes."""
    keep: Pattern | None = None
    """What never changes: words of which this regular expression matches a character, such as tags and placeholders."""
    shards: Few = 8
    """Files of each domain. One is held in memory while it is made, and is what a killed run may have to make again."""


class Cache(Section):
    """What is stored of the teacher's outputs."""

    logits: bool = True
    """Predictions, float32: 4 bytes a class a text."""
    hidden: bool = True
    """Last hidden states, float16: 2 bytes × tokens × width a text."""
    attention: bool = True
    """Last-layer attention probabilities, float16: 2 bytes × heads × tokens² a text."""


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
    """How much of the score (see `score`) on the test set int8 may lose before it is left out; one text may always
    differ."""
    vocabulary: Literal["full", "seen"] = "full"
    """seen: tokens that no original and no neighbour has are removed; their words become several shorter tokens."""


class Params(Section):
    """The whole of params.yaml."""

    task: Literal["classification", "regression"] = "classification"
    """Classification into any number of classes, or regression of a number."""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1, strict=True)] = 1
    """Seed of every random draw of every stage."""
    score: ScoreName = "auto"
    """Of classes: the metric on the validation texts that picks the best epoch of Student-FT, and the teacher with
    `teacher.domains: auto`; that `export.max_drop` is about and the report shows first; and that rewards the selector
    if its reward is `metric` (Eq. 13). F1 is that of the last class if there are two, else the mean over the classes;
    mcc is Matthews' correlation coefficient. auto: accuracy, but mcc where more than two thirds of the validation texts
    have one label. Regression has R²."""
    alpha: Temperature = 1.0
    """Eq. 11: how far neighbours stray from their originals."""
    temperature: Temperature = 1.0
    """T of Eq. 12: how varied the new words are."""
    max_length: Annotated[int, Field(ge=8, le=1_000_000)] = 128
    """Tokens of a text or pair that the models see; what is longer is cut."""
    pairs: Literal["cross", "each"] = "cross"
    """How teacher and student read two texts. cross: as one (the paper). each: each by itself; their mean states are
    compared, from a start at the cosine, without dropout and `student.pooling`."""
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
        if self.task == "regression" and self.score != "auto":
            raise ValueError(f"score: got {self.score}, but regression has no classes; accepted: auto (R²)")
        if self.data.source is None and self.teacher.domains == ["source"]:
            raise ValueError("teacher.domains: got [source], but data.source is null; accepted: [target]")
        tables = {"source": self.data.source, "target": self.data.target, "unlabelled": self.data.unlabelled}
        domains = [domain for domain, table in tables.items() if table is not None]
        self._check_texts()
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
        self._check_pairs()
        self._check_objectives()
        for kind, (key, off) in self.cache_needs().items():
            if not getattr(self.cache, kind):
                raise ValueError(f"cache.{kind}: got false, but {key} needs it; accepted: true, or {key}: {off}")
        self._check_pooling()
        return self

    def _check_pairs(self) -> None:
        augment = self.augment
        for name in ("masked_lm", "patience", "relations", "scores") if self.encodes_each else ():
            if getattr(self.objectives, name):
                raise ValueError(f"objectives.{name}: it reads two texts as one; accepted: 0, or pairs: cross")
        if augment.shared == "each" or self.data.target.columns.text_pair is None:
            return
        if not METHODS[augment.method].uses_generator:
            raise ValueError(
                f"augment.shared: got {augment.shared} with augment.method: {augment.method}, which changes each text "
                "by itself; accepted: each"
            )
        if augment.shared == "alike" and augment.side != "both":
            raise ValueError(
                f"augment.shared: got alike with augment.side: {augment.side}; "
                "accepted: each, kept, or augment.side: both"
            )

    def _check_texts(self) -> None:
        source = self.data.source
        if source is not None and source.sentences is not None and source.columns.text_pair is not None:
            raise ValueError(
                f"data.source.sentences: got {source.sentences}, but the source has pairs "
                "(data.source.columns.text_pair); accepted: null, or single texts"
            )
        samples, method = self.augment.samples.unlabelled, self.augment.method
        if self.data.unlabelled is not None and samples and METHODS[method].reads_labels:
            raise ValueError(
                f"augment.samples.unlabelled: got {samples} with augment.method: {method}, which reads labels; "
                "accepted: 0, or another method"
            )

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
        if self.student.pooling == "mean":
            raise ValueError("student.pooling: got mean with student.init: bilstm; accepted: first_token")
        if not self.distill.dropout:
            # cuDNN has no backward pass of a recurrent network in evaluation mode.
            raise ValueError("distill.dropout: got false with student.init: bilstm; accepted: true")
        if states:
            off = " and ".join(f"objectives.{name}: 0" for name in states)
            raise ValueError(
                f"student.init: got bilstm, which has no attention or hidden states to compare; "
                f"accepted: a transformer, or {off}"
            )
        if self.selector.reads_states:
            raise ValueError("selector.representations: got true, but a bilstm has no [CLS] states; accepted: false")

    def _check_pooling(self) -> None:
        states = self.objectives.active(lambda objective: objective.kind == "state")
        if self.student.pooling == "mean" and states and not self.encodes_each:
            raise ValueError(
                f"student.pooling: got mean, whose layer has no states that objectives.{states[0]} could compare; "
                f"accepted: first_token, or {' and '.join(f'objectives.{name}: 0' for name in states)}"
            )

    @property
    def encodes_each(self) -> bool:
        """Whether texts are pairs, of which each is encoded by itself."""
        return self.pairs == "each" and self.data.target.columns.text_pair is not None

    def cache_needs(self) -> dict[str, tuple[str, str]]:
        """The states read of the teacher's cache: the parameter that needs each, and a value with which it does not."""
        needs = {str(state): (f"objectives.{name}", "0") for state, name in self.objectives.reads(live=False).items()}
        if self.selector.kind == "reinforced":
            needs.setdefault("logits", ("selector.kind", "none"))
        if self.selector.reads_states:
            needs.setdefault("hidden", ("selector.representations", "false"))
        return needs
