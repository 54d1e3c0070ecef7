"""What Algorithm 1 passes on: a batch after the forward pass, the state between two steps, the outcome."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pipeline.compute.batching import Rows
from pipeline.distill.selector import Step
from pipeline.evaluation.validation import Score
from pipeline.models.forward import States
from pipeline.training.checkpoint import Tensors, strip_prefix, with_prefix

WORST = Score(-math.inf, -math.inf)
Log = Callable[[int, dict[str, float]], None]
"""Takes a step's number and its metrics by name."""


@dataclass(frozen=True)
class Batch:
    """A batch after the forward pass. With several processes each computes some of its rows."""

    rows: Rows
    """Rows of the dataset, (rows,)."""
    local: Rows
    """Positions in `rows` of those that this process computes, (local,)."""
    num_real: int
    """Number of local rows with a weight: 0 if this process runs one only so that all take the same steps."""
    states: States
    """The student's outputs and states of the local rows."""
    losses: Tensors
    """The losses of the local rows, (local,), not weighted: all active ones for a policy, or those of the phase."""


@dataclass
class LoopState:
    """The state between two steps: what a killed run needs to continue as if it had not been killed."""

    rng_state: Mapping[str, Any]
    """State of the batch order's random generator at the beginning of the epoch."""
    pi: npt.NDArray[np.float32]
    """π(z) of each row when it was last used, (rows,)."""
    kept: npt.NDArray[np.bool_]
    """Whether each row was kept when it was last used, (rows,)."""
    epoch: int = 1
    batch: int = 0
    steps: int = 0
    score: Score = WORST
    """The student's score on D^v after the last step."""
    best_score: Score = WORST
    best_epoch: int = 0
    best_student: Tensors = field(default_factory=dict)
    best_projection: Tensors = field(default_factory=dict)
    episode: list[Step] = field(default_factory=list)
    logged: list[tuple[int, dict[str, float]]] = field(default_factory=list)

    def to_tensors(self) -> tuple[Tensors, dict[str, Any]]:
        """All of it as tensors and JSON-like values."""
        tensors = {"pi": torch.from_numpy(self.pi), "kept": torch.from_numpy(self.kept)}
        if self.episode:
            tensors["features"] = torch.cat([step.features for step in self.episode])
            tensors["keep"] = torch.cat([step.keep for step in self.episode])
        tensors |= with_prefix("best_student", self.best_student)
        tensors |= with_prefix("best_projection", self.best_projection)
        plain = ("rng_state", "epoch", "batch", "steps", "best_epoch", "logged")
        values = {name: getattr(self, name) for name in plain}
        for name, score in (("score", self.score), ("best_score", self.best_score)):
            values[name] = [score.metric, score.minus_loss]
        return tensors, values | {"episode": [(len(step.keep), step.reward) for step in self.episode]}

    @classmethod
    def from_tensors(cls, tensors: Tensors, values: dict[str, Any]) -> "LoopState":
        """Rebuild it from what `to_tensors` returned."""
        sizes = [size for size, _ in values["episode"]]
        features = tensors["features"].split(sizes) if sizes else ()
        keeps = tensors["keep"].split(sizes) if sizes else ()
        rewards = [reward for _, reward in values["episode"]]
        return cls(
            values["rng_state"],
            tensors["pi"].numpy(),
            tensors["kept"].numpy(),
            **{name: values[name] for name in ("epoch", "batch", "steps", "best_epoch")},
            score=Score(*values["score"]),
            best_score=Score(*values["best_score"]),
            best_student=strip_prefix("best_student", tensors),
            best_projection=strip_prefix("best_projection", tensors),
            episode=[Step(*step) for step in zip(features, keeps, rewards, strict=True)],
            logged=[(step, metrics) for step, metrics in values["logged"]],
        )


@dataclass(frozen=True)
class DistillationResult:
    """The outcome of the loop. The student itself holds the best epoch's weights."""

    best: Score
    epoch: int
    """The best epoch."""
    epochs: int
    steps: int
    pi: npt.NDArray[np.float32]
    """The last π(z) of each row, (rows,)."""
    kept: npt.NDArray[np.bool_]
    """The last decision for each row, (rows,)."""
    projection_and_policy: Tensors
    """What a later round continues from: the best epoch's `projection.*` and the last `policy.*`, if there is one."""
