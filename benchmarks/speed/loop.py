"""Algorithm 1 for a few steps, again and again from the same student and the same batches."""

import copy
import time
from collections.abc import Callable

from transformers import PreTrainedModel

from benchmarks.speed.made import made
from pipeline.data.texts import read_texts
from pipeline.distill.dataset import DistillationDataset, read_dataset
from pipeline.distill.loop import distill
from pipeline.evaluation.validation import Validation
from pipeline.models.student import build_student, load_student_tokenizer
from pipeline.params.schema import Params


class Enough(Exception):  # noqa: N818 - no error
    """Raised to leave a loop."""


class Stopwatch:
    """Told of every step, it ends the loop after so many, the first not counted: optimizers are built in it."""

    def __init__(self, steps: int) -> None:
        self.steps, self.stamps = steps, list[float]()

    def step(self) -> None:
        """A step is over."""
        self.stamps.append(time.perf_counter())
        if len(self.stamps) > self.steps:
            raise Enough

    def seconds(self, loop: Callable[[], object]) -> float:
        """What the steps of a loop took."""
        try:
            loop()
        except Enough:
            return self.stamps[-1] - self.stamps[0]
        raise RuntimeError(f"the loop ended before its {self.steps + 1} steps")


def default_lessons(params: Params) -> DistillationDataset:
    """What the default run's student learns from."""
    return read_dataset(
        params,
        prepared=made("data/prepared"),
        augmented=made("data/augmented"),
        cache=made("data/teacher"),
        tokenizer=load_student_tokenizer(params, teacher=made("models/teacher")),
    )


def default_validation(params: Params) -> Validation:
    """What pays the default run's selector."""
    texts = read_texts(made("data/prepared") / "validation.parquet")
    return Validation(texts, load_student_tokenizer(params, teacher=made("models/teacher")), params.max_length)


def default_student(params: Params) -> PreTrainedModel:
    """The default run's student as it starts, or one of other sizes over the same words."""
    names = read_texts(made("data/prepared") / "validation.parquet").names
    return build_student(params, teacher=made("models/teacher"), labels=names, pairs=False)


def without_selector(params: Params) -> Params:
    """The same params with every neighbour kept."""
    return params.model_copy(update={"selector": params.selector.model_copy(update={"kind": "none"})})


def steps(
    count: int,
    student: PreTrainedModel,
    width: int,
    lessons: DistillationDataset,
    validation: Validation,
    params: Params,
) -> float:
    """Seconds of so many steps, from the same student and through the same batches each time."""
    watch = Stopwatch(count)
    mine = copy.deepcopy(student)
    return watch.seconds(
        lambda: distill(mine, width, lessons, validation, params, lambda _step, _figures: watch.step())
    )
