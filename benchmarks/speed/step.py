"""A step of distillation with the teacher's cache, beside one with a live teacher and one of TextBrewer.

    python -m benchmarks.speed.step

All use the same models, losses (Eqs. 1–3; TextBrewer's are means over a batch's tokens, l2a's over each text's),
batches and optimizer, and no selector, which TextBrewer does not have.
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
from transformers import PreTrainedModel

from benchmarks.errors import exit_on_input_error
from benchmarks.speed.measure import Figure, publish, rate, ratio, side_by_side
from benchmarks.speed.timed_steps import (
    Stopwatch,
    dataset_with_teacher,
    default_student,
    default_validation,
    paper_params,
    paper_teacher,
    time_steps,
)
from pipeline.compute.batching import Inputs, collate, epoch_batches
from pipeline.distill.dataset import DistillationDataset
from pipeline.errors import InputError
from pipeline.models.forward import forward
from pipeline.params.schema import Params
from pipeline.training.optimizer import adamw

STEPS = 10


class LiveTeacher:
    """Takes the place of the cache: the teacher runs once per batch, when its outputs are read."""

    def __init__(self, model: PreTrainedModel, dataset: DistillationDataset) -> None:
        self.model, self.dataset = model.eval(), dataset
        self.rows: npt.NDArray[np.int64] | None = None

    @torch.inference_mode()
    def _forward(self, rows: npt.NDArray[np.int64]) -> None:
        if self.rows is None or not np.array_equal(self.rows, rows):
            inputs = collate(self.dataset.encoded, rows)
            self.states, self.rows = forward(self.model, inputs, ["hidden", "attention"]), rows

    @property
    def logits(self) -> "LiveTeacher":
        """Logits, to be indexed with rows."""
        return self

    def __getitem__(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        self._forward(rows)
        return self.states.logits.numpy()

    def hidden(self, rows: npt.NDArray[np.int64]) -> torch.Tensor:
        """Last hidden states."""
        self._forward(rows)
        return self.states.hidden.clone()

    def attention(self, rows: npt.NDArray[np.int64], heads: int) -> torch.Tensor:
        """Last-layer attention probabilities."""
        self._forward(rows)
        return self.states.attention.clone()


def with_live_teacher(teacher: PreTrainedModel, dataset: DistillationDataset) -> DistillationDataset:
    """The same dataset without a cache: the teacher runs in every step."""
    rows = np.arange(len(dataset))
    return replace(dataset, cache=LiveTeacher(teacher, dataset), cache_rows=rows)  # type: ignore[arg-type]


def textbrewer(
    count: int, student: PreTrainedModel, teacher: PreTrainedModel, batches: list[Inputs], params: Params, scratch: str
) -> float:
    """Seconds of `count` steps of TextBrewer's GeneralDistiller."""
    try:
        from textbrewer import DistillationConfig, GeneralDistiller, TrainingConfig
    except ImportError as error:
        raise InputError("textbrewer: not installed; accepted: pip install -e '.[bench]'") from error

    def adaptor(batch: Inputs, outputs: Any) -> dict[str, Any]:
        last = {"hidden": outputs.hidden_states[-1:], "attention": outputs.attentions[-1:]}
        return {"logits": [outputs.logits], "inputs_mask": batch["attention_mask"], **last}

    student, teacher = copy.deepcopy(student).train(), teacher.eval()
    for model in (student, teacher):
        model.set_attn_implementation("eager")  # the implementation that returns attention probabilities
        model.config.output_hidden_states = model.config.output_attentions = True
    sizes = student.config.hidden_size, teacher.config.hidden_size
    projection = ["linear", *sizes, {"lr": params.distill.learning_rate}]
    match = {"layer_T": 0, "layer_S": 0, "weight": 1}
    losses = [
        match | {"feature": "attention", "loss": "attention_mse"},
        match | {"feature": "hidden", "loss": "hidden_mse", "proj": projection},
    ]
    distiller = GeneralDistiller(
        TrainingConfig(device="cpu", ckpt_steps=10**9, output_dir=scratch),
        DistillationConfig(temperature=1, kd_loss_type="ce", intermediate_matches=losses),
        teacher,
        student,
        adaptor,
        adaptor,
    )
    watch = Stopwatch(count)

    def timed_batches() -> Any:
        for batch in cycle(batches):
            yield batch
            # When the next batch is requested, the step with this one is done.
            watch.step()

    with distiller:
        return watch.seconds(
            lambda: distiller.train(
                adamw(student, params.distill), timed_batches(), num_steps=count + 2, max_grad_norm=1.0
            )
        )


def compare(
    params: Params, teacher: PreTrainedModel, student: PreTrainedModel, dataset: DistillationDataset
) -> list[Figure]:
    """Compare the three, and TextBrewer with batches padded to the maximum length."""
    live = with_live_teacher(teacher, dataset)
    rng = np.random.default_rng(params.seed)
    rows = epoch_batches(dataset.encoded.lengths, size=params.distill.batch_size, rng=rng)[: STEPS + 1]
    batches = [dataset.inputs(batch) for batch in rows]
    wide = [
        {name: torch.nn.functional.pad(value, (0, params.max_length - value.shape[1])) for name, value in batch.items()}
        for batch in batches
    ]
    textbrewer_teacher = copy.deepcopy(teacher)
    l2a = partial(
        time_steps, STEPS, student, teacher.config.hidden_size, validation=default_validation(params), params=params
    )
    with tempfile.TemporaryDirectory() as scratch:
        seconds = side_by_side(
            {
                "cache": lambda: l2a(dataset=dataset),
                "live": lambda: l2a(dataset=live),
                "textbrewer": lambda: textbrewer(STEPS, student, textbrewer_teacher, batches, params, scratch),
                "padded": lambda: textbrewer(STEPS, student, textbrewer_teacher, wide, params, scratch),
            }
        )
    # The cache takes one pass of the teacher; a live teacher takes one in every epoch.
    faster, epochs = ratio(seconds, "live", "cache"), params.distill.epochs
    overall = epochs * faster / (epochs + faster - 1)
    return [
        Figure("steps with the cache", rate(seconds, "cache", STEPS), "per second"),
        Figure("steps with a live teacher", rate(seconds, "live", STEPS), "per second"),
        Figure("steps of TextBrewer", rate(seconds, "textbrewer", STEPS), "per second"),
        Figure("faster than a live teacher", faster, "times", 8),
        Figure(f"faster than a live teacher, making the cache for {epochs} epochs included", overall, "times"),
        Figure("faster than TextBrewer", ratio(seconds, "textbrewer", "cache"), "times", 8),
        Figure(
            f"faster than TextBrewer with texts padded to {params.max_length}",
            ratio(seconds, "padded", "cache"),
            "times",
        ),
    ]


def main() -> None:
    """Measure the paper's pair of models."""
    params, teacher = paper_params(), paper_teacher()
    with tempfile.TemporaryDirectory() as scratch:
        dataset = dataset_with_teacher(teacher, params, Path(scratch), (STEPS + 2) * params.distill.batch_size)
        publish("step", compare(params, teacher, default_student(params), dataset))


if __name__ == "__main__":
    with exit_on_input_error():
        main()
