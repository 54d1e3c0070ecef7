"""The schema of the models: where each comes from and how it is fine-tuned."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.params.data import Heldout, Table
from pipeline.params.types import (
    Count,
    Epochs,
    Few,
    FewOrZero,
    LabelledDomains,
    Name,
    Pick,
    Positive,
    Probability,
    Rate,
    Section,
    Share,
    Weight,
)


class Fit(Section):
    """How a model is fine-tuned: AdamW, linear warm-up and decay."""

    batch_size: Positive = 32
    """Texts a step."""
    learning_rate: Rate = 5e-5
    """The highest, at the end of the warm-up."""
    warmup: Share = 0.1
    """Share of the steps in which the learning rate rises."""
    weight_decay: Weight = 0.01
    """Of matrices; biases and norms have none."""


class Samples(Section):
    """A number for each domain."""

    source: FewOrZero
    """For the source domain, which has many texts."""
    target: FewOrZero
    """For the target domain, which has few."""
    unlabelled: FewOrZero = 0
    """For the target domain's texts without labels."""


class EpochsPerDomain(Section):
    """Epochs on each domain. 0.25 is a quarter of an epoch's steps, rounded up, in that epoch's order of batches."""

    source: Epochs
    """On the source domain, which has many texts."""
    target: Epochs
    """On the target domain, which has few."""


class Teacher(Fit):
    """The large model f^t, fine-tuned."""

    model: Name = "bert-base-uncased"
    """A hub id (`id@revision` for a branch, tag or commit), a folder or `package:module/folder` with an encoder."""
    domains: Annotated[LabelledDomains, Field(min_length=1)] | Literal["auto"] = ["source", "target"]
    """Fine-tune on these, one after the other. The paper's Teacher-FT sees [target]. auto: train both [source, target]
    and [target], and keep the teacher that validates better (see `score`; of equal ones that with the lower loss)."""
    epochs: EpochsPerDomain = EpochsPerDomain(source=1, target=5)
    """Epochs on each domain, each with a validation at its end; with 0 for all of them the model is not fine-tuned."""
    frozen: Count = 0
    """Layers that are not trained, from the first, and with them the embeddings; they have no dropout."""

    @model_validator(mode="after")
    def _something_to_choose(self) -> Self:
        if self.domains == "auto" and not (self.epochs.source and self.epochs.target):
            raise ValueError(
                f"domains: got auto with epochs of {self.epochs.source} (source) and {self.epochs.target} (target); "
                "accepted: epochs above 0 for both, or a list of domains"
            )
        return self


class Generator(Section):
    """The masked language model G_θ that fills in the masked words."""

    model: Name = "bert-base-uncased"
    """As for the teacher; without a masked-LM head it needs an adapter or steps."""
    adapter: Name | None = None
    """A file written by this stage with low-rank weights and a masked-LM head, which are added to the model."""
    steps: Count = 0
    """Training steps of the low-rank weights and the head; 0 uses the model as it is."""
    text: Table | None = None
    """Unlabelled text to train on. Not the target's table, because it contains the test rows."""
    heldout: Heldout | None = None
    """Unlabelled text on which masked-token accuracy is measured; no stage uses the result."""
    rank: Few = 32
    """Rank of the low-rank weights added to each linear layer of the encoder."""
    mask: Probability = 0.2
    """Share of tokens that are masked in training and in measuring."""
    batch_size: Positive = 64
    """Sentences a step."""
    learning_rate: Rate = 1e-3
    """The highest, at the end of the warm-up; it then falls along a cosine."""
    warmup: Share = 0.05
    """Share of the steps in which the learning rate rises."""
    max_length: Annotated[int, Field(ge=8, le=1_000_000)] = 64
    """Tokens of a sentence; what is longer is cut."""

    @model_validator(mode="after")
    def _text_to_train_on(self) -> Self:
        if self.steps and self.adapter:
            raise ValueError(f"steps is {self.steps} and adapter is {self.adapter}; accepted: one of the two")
        if self.steps and self.text is None:
            raise ValueError(f"steps is {self.steps} but text is not given; accepted: a table with unlabelled text")
        return self


class Student(Section):
    """The small model f^s before distillation."""

    init: Literal["teacher", "encoder", "pretrained", "fresh", "bilstm"] = "teacher"
    """The initial weights: layers of the fine-tuned teacher, layers of a pretrained encoder, a named model, random
    weights, or a BiLSTM over the teacher's word embeddings in place of a transformer."""
    model: Name | None = None
    """The named model if init is pretrained; the encoder whose layers are taken if init is encoder, by default
    teacher.model. The student has its tokenizer."""
    layers: Few = 3
    """Number of layers: taken from the teacher or encoder, or of a fresh student."""
    pick: Pick = "first"
    """Which layers are taken: the first ones, or evenly spaced ones, with the last or with the first and the last."""
    pooling: Literal["first_token", "mean"] = "first_token"
    """What the classifier reads of the last layer: the first token, or the mean over all, by one more layer on top
    that starts as that mean (BERT, CamemBERT, ELECTRA, RoBERTa and XLM-RoBERTa)."""
    hidden: Few = 312
    """Width of a fresh student."""
    intermediate: Few = 1200
    """Feed-forward width of a fresh student."""
    heads: Few = 12
    """Attention heads of a fresh student."""

    @model_validator(mode="after")
    def _model_is_named(self) -> Self:
        if self.init == "pretrained" and self.model is None:
            raise ValueError("init is pretrained and model is null; accepted: a model")
        if self.init not in ("pretrained", "encoder") and self.model is not None:
            raise ValueError(
                f"init is {self.init} and model is {self.model}; accepted: null, or init: pretrained or encoder"
            )
        if self.init == "fresh" and self.hidden % self.heads:
            raise ValueError(f"hidden is {self.hidden} with {self.heads} heads; accepted: a multiple of heads")
        return self


class StudentFT(Fit):
    """The baseline: the same student fine-tuned on the scarce labels alone."""

    epochs: Positive = 20
    """Epochs on the scarce labels."""
