"""Timing of a few steps of Algorithm 1, always from the same student and with the same batches."""

import copy
import time
from collections.abc import Callable

from transformers import PreTrainedModel

from benchmarks.speed.default_run import output
from pipeline.data.texts import read_texts
from pipeline.distill.dataset import DistillationDataset, read_dataset
from pipeline.distill.loop import distill
from pipeline.distill.run import Distillation
from pipeline.evaluation.validation import Validation
from pipeline.models.loading import load_tokenizer
from pipeline.models.student import build_student, load_student_tokenizer
from pipeline.params.schema import Params


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


def without_selector(params: Params) -> Params:
    """The same params with every neighbour kept."""
    return params.model_copy(update={"selector": params.selector.model_copy(update={"kind": "none"})})


def time_steps(
    count: int,
    student: PreTrainedModel,
    width: int,
    dataset: DistillationDataset,
    validation: Validation,
    params: Params,
) -> float:
    """Seconds of `count` steps, from the same student and with the same batches each time."""
    watch = Stopwatch(count)
    fresh = copy.deepcopy(student)
    return watch.seconds(
        lambda: distill(Distillation(fresh, width, dataset, validation, params, lambda _step, _figures: watch.step()))
    )
