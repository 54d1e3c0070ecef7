"""Timing of a few steps of Algorithm 1, always from the same student and with the same batches.

The models are those of the default run, or the paper's: a teacher of BERT-base's sizes and a student of 4 layers of
width 312, with random weights, since the time depends only on sizes, and all three losses (Eqs. 1–3).
"""

import copy
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from transformers import AutoModelForSequenceClassification, BertConfig, PreTrainedModel

from benchmarks.speed.default_run import default_params, output
from pipeline.augment.shards import read_augmented
from pipeline.compute.batching import encode
from pipeline.data.texts import read_texts
from pipeline.distill.cache_teacher import Piece, run_teacher
from pipeline.distill.dataset import DistillationDataset, read_dataset
from pipeline.distill.loop import distill
from pipeline.distill.run import Distillation
from pipeline.distill.teacher_cache import TeacherCache
from pipeline.evaluation.validation import Validation
from pipeline.models.loading import load_tokenizer
from pipeline.models.student import build_student, load_student_tokenizer
from pipeline.params.overlay import merge
from pipeline.params.schema import Params

TEACHER: dict[str, Any] = {}
"""Sizes of the paper's teacher other than BERT-base's."""
PAPER: dict[str, Any] = {
    "student": {"init": "fresh", "layers": 4, "model": None, "pooling": "first_token"},
    "objectives": {"attention": 1.0, "hidden": 1.0},
    "cache": {"hidden": True, "attention": True},
    "distill": {"dropout": True},
    "selector": {"kind": "none"},
}


class StopLoop(Exception):  # noqa: N818 - not an error
    """Raised to leave a loop."""


class Stopwatch:
    """Called after every step; ends the loop after `steps`, not counting the first, in which optimizers are built."""

    def __init__(self, steps: int) -> None:
        self.steps, self.stamps = steps, list[float]()

    def step(self) -> None:
        """Record the end of a step."""
        self.stamps.append(time.perf_counter())
        if len(self.stamps) > self.steps:
            raise StopLoop

    def seconds(self, loop: Callable[[], object]) -> float:
        """Seconds that the steps of a loop took."""
        try:
            loop()
        except StopLoop:
            return self.stamps[-1] - self.stamps[0]
        raise RuntimeError(f"the loop ended before its {self.steps + 1} steps")


def default_dataset(params: Params) -> DistillationDataset:
    """The training data of the default run's student."""
    return read_dataset(
        params,
        prepared=output("data/prepared"),
        augmented=output("data/augmented"),
        cache=output("data/teacher"),
        tokenizer=load_student_tokenizer(params, teacher=output("models/teacher")),
        teacher_tokenizer=load_tokenizer(output("models/teacher"), "teacher"),
    )


def default_validation(params: Params) -> Validation:
    """The validation set that rewards the default run's selector."""
    texts = read_texts(output("data/prepared") / "validation.parquet")
    return Validation(texts, load_student_tokenizer(params, teacher=output("models/teacher")), params.max_length)


def default_student(params: Params) -> PreTrainedModel:
    """The default run's student as it starts, or one of other sizes over the same words."""
    names = read_texts(output("data/prepared") / "validation.parquet").names
    return build_student(params, teacher=output("models/teacher"), labels=names, pairs=False)


def paper_params() -> Params:
    """The default's params with the paper's student and losses, and no selector."""
    return Params.model_validate(merge(default_params().model_dump(), PAPER))


def paper_teacher() -> PreTrainedModel:
    """A model of BERT-base's sizes over the words of the default run's teacher, with random weights."""
    torch.manual_seed(1)
    vocabulary = len(load_tokenizer(output("models/teacher"), "teacher"))
    model: PreTrainedModel = AutoModelForSequenceClassification.from_config(
        BertConfig(vocab_size=vocabulary, **TEACHER)
    )
    return model


def some_neighbours(count: int) -> Piece:
    """`count` neighbours of the default run."""
    table = read_augmented(output("data/augmented"), ["id", "text"])
    table = table.take(np.linspace(0, len(table) - 1, count).astype(int))
    return Piece("some", table["id"].to_pylist(), table["text"].to_pylist(), None)


def dataset_with_teacher(teacher: PreTrainedModel, params: Params, folder: Path, count: int) -> DistillationDataset:
    """`count` neighbours of the default run with a teacher's outputs, whose cache is written into a folder."""
    tokenizer = load_tokenizer(output("models/teacher"), "teacher")
    piece = some_neighbours(count)
    run_teacher(teacher, tokenizer, piece, folder / piece.name, params, "")
    none = torch.zeros(count)
    return DistillationDataset(
        neighbours=count,
        ids=pa.array(piece.ids),
        domains=pa.array(["target"] * count),
        droppable=np.ones(count, dtype=np.bool_),
        labels=none.long(),
        log_p=none,
        tokenizer=tokenizer,
        encoded=encode(tokenizer, piece.texts, None, params.max_length),
        cache=TeacherCache(folder),
        cache_rows=np.arange(count),
    )


def time_steps(
    count: int,
    student: PreTrainedModel,
    teacher_width: int,
    dataset: DistillationDataset,
    validation: Validation,
    params: Params,
) -> float:
    """Seconds of `count` steps, from the same student and with the same batches each time."""
    watch = Stopwatch(count)
    fresh = copy.deepcopy(student)
    return watch.seconds(
        lambda: distill(
            Distillation(fresh, teacher_width, dataset, validation, params, lambda _step, _figures: watch.step())
        )
    )
