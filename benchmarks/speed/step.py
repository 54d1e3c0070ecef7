"""A step of distillation from the teacher's cache, beside one with a live teacher and TextBrewer's.

    python -m benchmarks.speed.step

The same losses (Eqs. 1–3; TextBrewer's are means over a batch's tokens, ours over each text's), students, batches and
optimizer, and no selector, which TextBrewer has not. Once on the default's models, once with a teacher of BERT-base's
sizes and the paper's student, both of random weights.
"""

import copy
import tempfile
from dataclasses import replace
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import AutoModelForSequenceClassification, BertConfig, PreTrainedModel

from benchmarks.one_line import one_line
from benchmarks.speed.loop import (
    Stopwatch,
    default_lessons,
    default_student,
    default_validation,
    steps,
    without_selector,
)
from benchmarks.speed.made import made, params
from benchmarks.speed.measure import Figure, publish, rate, ratio, side_by_side
from pipeline.augment.shards import read_augmented
from pipeline.compute.batching import Batch, collate, encode, length_batches
from pipeline.distill.cache_teacher import Piece, run_teacher
from pipeline.distill.dataset import DistillationDataset
from pipeline.distill.teacher_cache import TeacherCache
from pipeline.errors import InputError
from pipeline.models.forward import forward
from pipeline.models.loading import load_tokenizer
from pipeline.params.schema import Params
from pipeline.training.optimizer import adamw

STEPS = 10


class LiveTeacher:
    """In place of the cache: what is asked of it, the teacher computes, once a batch."""

    def __init__(self, model: PreTrainedModel, lessons: DistillationDataset) -> None:
        self.model, self.lessons = model.eval(), lessons
        self.asked: npt.NDArray[np.int64] | None = None

    @torch.inference_mode()
    def _pass(self, rows: npt.NDArray[np.int64]) -> None:
        if self.asked is not rows:
            inputs = collate(self.lessons.encoded, rows)
            self.states, self.asked = forward(self.model, inputs, hidden=True, attention=True), rows

    @property
    def logits(self) -> "LiveTeacher":
        """What is asked for with rows in brackets."""
        return self

    def __getitem__(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        self._pass(rows)
        return self.states.logits.numpy()

    def hidden(self, rows: npt.NDArray[np.int64]) -> torch.Tensor:
        """Last hidden states."""
        self._pass(rows)
        return self.states.hidden.clone()

    def attention(self, rows: npt.NDArray[np.int64], heads: int) -> torch.Tensor:
        """Last-layer attention probabilities."""
        self._pass(rows)
        return self.states.attention.clone()


def alive(teacher: PreTrainedModel, lessons: DistillationDataset) -> DistillationDataset:
    """The same lessons without a cache: the teacher is asked in every step."""
    every = np.arange(len(lessons))
    return replace(lessons, cache=LiveTeacher(teacher, lessons), cached=every)  # type: ignore[arg-type]


def textbrewer(
    count: int, student: PreTrainedModel, teacher: PreTrainedModel, batches: list[Batch], given: Params, scratch: str
) -> float:
    """Seconds of so many steps of TextBrewer's GeneralDistiller."""
    try:
        from textbrewer import DistillationConfig, GeneralDistiller, TrainingConfig
    except ImportError:
        raise InputError("textbrewer: not installed; accepted: pip install -e '.[bench]'") from None

    def adaptor(batch: Batch, outputs: Any) -> dict[str, Any]:
        last = {"hidden": outputs.hidden_states[-1:], "attention": outputs.attentions[-1:]}
        return {"logits": [outputs.logits], "inputs_mask": batch["attention_mask"], **last}

    ours, theirs = copy.deepcopy(student).train(), teacher.eval()
    for model in (ours, theirs):
        model.set_attn_implementation("eager")  # which gives attention out
        model.config.output_hidden_states = model.config.output_attentions = True
    sizes = ours.config.hidden_size, theirs.config.hidden_size
    projection = ["linear", *sizes, {"lr": given.distill.learning_rate}]
    match = {"layer_T": 0, "layer_S": 0, "weight": 1}
    losses = [
        match | {"feature": "attention", "loss": "attention_mse"},
        match | {"feature": "hidden", "loss": "hidden_mse", "proj": projection},
    ]
    distiller = GeneralDistiller(
        TrainingConfig(device="cpu", ckpt_steps=10**9, output_dir=scratch),
        DistillationConfig(temperature=1, kd_loss_type="ce", intermediate_matches=losses),
        theirs,
        ours,
        adaptor,
        adaptor,
    )
    watch = Stopwatch(count)

    def served() -> Any:
        for batch in cycle(batches):
            yield batch
            # Asked for the next one, it has done the last.
            watch.step()

    with distiller:
        return watch.seconds(
            lambda: distiller.train(adamw(ours, given.distill), served(), num_steps=count + 2, max_grad_norm=1.0)
        )


def contest(
    what: str,
    given: Params,
    teacher: PreTrainedModel,
    student: PreTrainedModel,
    lessons: DistillationDataset,
    goal: float,
) -> list[Figure]:
    """The three beside each other, and TextBrewer with batches padded to the longest text allowed."""
    live = alive(teacher, lessons)
    order = np.random.default_rng(given.seed)
    rows = length_batches(lessons.encoded.lengths, size=given.distill.batch_size, rng=order)[: STEPS + 1]
    batches = [lessons.inputs(batch) for batch in rows]
    wide = [
        {name: torch.nn.functional.pad(value, (0, given.max_length - value.shape[1])) for name, value in batch.items()}
        for batch in batches
    ]
    rivals = copy.deepcopy(teacher)
    ours = partial(
        steps, STEPS, student, teacher.config.hidden_size, validation=default_validation(given), params=given
    )
    with tempfile.TemporaryDirectory() as scratch:
        seconds = side_by_side(
            {
                "cache": lambda: ours(lessons=lessons),
                "live": lambda: ours(lessons=live),
                "textbrewer": lambda: textbrewer(STEPS, student, rivals, batches, given, scratch),
                "padded": lambda: textbrewer(STEPS, student, rivals, wide, given, scratch),
            }
        )
    # The cache is made by one pass of the teacher, which a live one takes in every epoch.
    faster, epochs = ratio(seconds, "live", "cache"), given.distill.epochs
    whole = epochs * faster / (epochs + faster - 1)
    return [
        Figure(f"{what}: steps with the cache", rate(seconds, "cache", STEPS), "a second"),
        Figure(f"{what}: with a live teacher", rate(seconds, "live", STEPS), "a second"),
        Figure(f"{what}: TextBrewer", rate(seconds, "textbrewer", STEPS), "a second"),
        Figure(f"{what}: faster than a live teacher", faster, "times", goal),
        Figure(f"{what}: the same, making the cache for {given.distill.epochs} epochs included", whole, "times"),
        Figure(f"{what}: faster than TextBrewer", ratio(seconds, "textbrewer", "cache"), "times", goal),
        Figure(
            f"{what}: faster than TextBrewer with texts padded to {given.max_length}",
            ratio(seconds, "padded", "cache"),
            "times",
        ),
    ]


def taught(teacher: PreTrainedModel, given: Params, folder: Path, count: int) -> DistillationDataset:
    """Some of the default's neighbours with what another teacher says of them, whose cache goes into a folder."""
    tokenizer = load_tokenizer(made("models/teacher"), "teacher")
    table = read_augmented(made("data/augmented"), ["id", "text"])
    table = table.take(np.linspace(0, len(table) - 1, count).astype(int))
    piece = Piece("some", table["id"].to_pylist(), table["text"].to_pylist(), None)
    run_teacher(teacher, tokenizer, piece, folder / piece.name, given, "")
    encoded = encode(tokenizer, piece.texts, None, given.max_length)
    none = torch.zeros(count)
    every = np.arange(count)
    domains, neighbour = np.full(count, "target"), np.ones(count, dtype=np.bool_)
    cache = TeacherCache(folder)
    return DistillationDataset(piece.ids, domains, neighbour, none.long(), none, tokenizer, encoded, cache, every)


def main() -> None:
    """Measure both pairs of models."""
    given = without_selector(params())
    lessons = default_lessons(given)
    teacher = AutoModelForSequenceClassification.from_pretrained(made("models/teacher"))
    figures = contest("default models", given, teacher, default_student(given), lessons, 3)

    torch.manual_seed(given.seed)
    base = AutoModelForSequenceClassification.from_config(BertConfig(vocab_size=len(lessons.tokenizer)))
    paper = given.model_copy(update={"student": given.student.model_copy(update={"init": "fresh", "layers": 4})})
    with tempfile.TemporaryDirectory() as scratch:
        some = taught(base, paper, Path(scratch), (STEPS + 2) * given.distill.batch_size)
        figures += contest("12/768 to 4/312", paper, base, default_student(paper), some, 8)
    publish("step", figures)


if __name__ == "__main__":
    with one_line():
        main()
