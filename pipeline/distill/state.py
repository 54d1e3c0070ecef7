"""Where Algorithm 1 stands: all that a killed run needs to go on as if nothing had happened."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pipeline.distill.selector import Step
from pipeline.evaluation.validation import Score
from pipeline.training.checkpoint import Tensors, strip_prefix, with_prefix

NEVER = Score(-math.inf, -math.inf)


@dataclass
class LoopState:
    """The next batch, the episode so far, the best student, and what was logged on the way."""

    order: Mapping[str, Any]
    """The random numbers that the epoch began with."""
    pi: npt.NDArray[np.float32]
    """Of each row, π(z) when it was last seen."""
    kept: npt.NDArray[np.bool_]
    """Of each row, whether it was then kept."""
    epoch: int = 1
    batch: int = 0
    steps: int = 0
    before: Score = NEVER
    """The student's score before the next step."""
    best: Score = NEVER
    best_epoch: int = 0
    best_student: Tensors = field(default_factory=dict)
    best_projection: Tensors = field(default_factory=dict)
    episode: list[Step] = field(default_factory=list)
    logged: list[tuple[int, dict[str, float]]] = field(default_factory=list)

    def packed(self) -> tuple[Tensors, dict[str, Any]]:
        """All of it as tensors and JSON-like facts."""
        tensors = {"pi": torch.from_numpy(self.pi), "kept": torch.from_numpy(self.kept)}
        if self.episode:
            tensors["state"] = torch.cat([step.state for step in self.episode])
            tensors["keep"] = torch.cat([step.keep for step in self.episode])
        tensors |= with_prefix("best_student", self.best_student) | with_prefix("best_projection", self.best_projection)
        facts = {
            **{name: getattr(self, name) for name in ("order", "epoch", "batch", "steps", "best_epoch", "logged")},
            **{
                name: [score.metric, score.minus_loss] for name, score in (("before", self.before), ("best", self.best))
            },
            "episode": [(len(step.keep), step.reward) for step in self.episode],
        }
        return tensors, facts

    @classmethod
    def unpacked(cls, tensors: Tensors, facts: dict[str, Any]) -> "LoopState":
        """What `packed` gave, put together again."""
        sizes = [size for size, _ in facts["episode"]]
        states = tensors["state"].split(sizes) if sizes else ()
        keeps = tensors["keep"].split(sizes) if sizes else ()
        rewards = [reward for _, reward in facts["episode"]]
        return cls(
            facts["order"],
            tensors["pi"].numpy(),
            tensors["kept"].numpy(),
            **{name: facts[name] for name in ("epoch", "batch", "steps", "best_epoch")},
            before=Score(*facts["before"]),
            best=Score(*facts["best"]),
            best_student=strip_prefix("best_student", tensors),
            best_projection=strip_prefix("best_projection", tensors),
            episode=[Step(*step) for step in zip(states, keeps, rewards, strict=True)],
            logged=[(step, figures) for step, figures in facts["logged"]],
        )
