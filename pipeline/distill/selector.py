"""The selector: a policy π_φ that keeps or drops neighbours, rewarded by the student's progress (Eqs. 13–15).

With `selector.originals` those of the source, and those without a label, may be dropped like neighbours.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from pipeline.evaluation.validation import Score
from pipeline.params.distill import Selector
from pipeline.training.checkpoint import Tensors, strip_prefix, with_prefix
from pipeline.training.optimizer import load_optimizer_state, optimizer_state

UPDATES = 30
"""Steps of Adam each time that a policy learns from rewards of texts."""
MEMORY = 3_000
"""Rewards of texts that it learns from at most, the latest."""
NORMAL = 1.4826
"""The standard deviation of a normal distribution around 0, divided by the median of its absolute values."""
LARGEST = 2.0
"""Rewards of texts count as so many standard deviations at most: a batch's can be far larger than another's."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an episode: the state of each droppable text in the batch, the action taken, and the reward."""

    features: torch.Tensor
    """The state as the policy sees it, (droppable, features)."""
    keep: torch.Tensor
    """Whether each was kept, (droppable,)."""
    reward: float | torch.Tensor
    """Of the step, or of each text if it is kept, (droppable,)."""


def reward(before: Score, after: Score, kind: Literal["metric", "loss"]) -> float:
    """r_t: the change of the student's score on D^v by one training step (Eq. 13, p. 5).

    Args:
        kind: `metric` for the score's metric (the paper's), `loss` for the validation loss, negated.
    """
    if kind == "loss":
        return after.minus_loss - before.minus_loss
    return after.metric - before.metric


def returns(rewards: Sequence[float], discount: float) -> list[float]:
    """r(τ) of each step: its reward plus all later ones, discounted by γ a step (Eq. 14, p. 5)."""
    out: list[float] = []
    following = 0.0
    for step_reward in reversed(rewards):
        following = step_reward + discount * following
        out.append(following)
    return out[::-1]


class RandomSelector:
    """Keeps each neighbour with one fixed probability: the baseline for a policy that keeps as many; 1 keeps all."""

    def __init__(self, keep: float, seed: int) -> None:
        self.keep = keep
        self.rng = torch.Generator().manual_seed(seed)

    def probabilities(self, features: torch.Tensor) -> torch.Tensor:
        """π(z), the probability of being kept: (texts,)."""
        return torch.full((len(features),), self.keep)

    def decide(self, probabilities: torch.Tensor) -> torch.Tensor:
        """Draw keep (True) or drop for each neighbour: (texts,) boolean."""
        return torch.rand(probabilities.shape, generator=self.rng) < probabilities

    def learn(self, episode: Sequence[Step]) -> float | None:
        """Nothing to learn."""
        return None

    def state_dict(self) -> Tensors:
        """Everything that changes, as tensors."""
        return {"rng": self.rng.get_state()}

    def load_state_dict(self, tensors: Tensors) -> None:
        """Restore what `state_dict` returned."""
        self.rng.set_state(tensors["rng"])


class ReinforcedSelector(RandomSelector):
    """π_φ: a two-layer perceptron over the state of a neighbour, trained by REINFORCE at the end of each episode."""

    def __init__(self, features: int, params: Selector, seed: int) -> None:
        super().__init__(params.initial_keep, seed)
        self.params = params
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            last = torch.nn.Linear(params.hidden, 1)
            self.policy = torch.nn.Sequential(torch.nn.Linear(features, params.hidden), torch.nn.Tanh(), last)
        torch.nn.init.zeros_(last.weight)
        torch.nn.init.constant_(last.bias, math.log(params.initial_keep / (1 - params.initial_keep)))
        self.optimizer = torch.optim.Adam(self.policy.parameters(), lr=params.learning_rate, betas=(0.9, 0.998))

    @torch.no_grad()
    def probabilities(self, features: torch.Tensor) -> torch.Tensor:
        """π(z), the probability of being kept: (texts,)."""
        return self.policy(features).squeeze(1).sigmoid()

    def learn(self, episode: Sequence[Step]) -> float:
        """One step of gradient ascent on Σ_t r(τ_t) Σ_z log π(a_z|s_z) (Eq. 15, p. 5); returns the mean return.

        Both sums are means, so that the step does not grow with the batch or the episode.
        """
        weights = torch.tensor(returns([float(step.reward) for step in episode], self.params.discount))
        mean = float(weights.mean()) if episode else 0.0
        if self.params.normalise_returns and len(episode) > 1:
            weights = (weights - weights.mean()) / (weights.std() + 1e-8)
        loss = torch.zeros((), requires_grad=True)
        for step, weight in zip(episode, weights, strict=True):
            if not len(step.features):
                continue
            # −log π(a|s), the mean over the step's neighbours.
            negative_log_likelihood = binary_cross_entropy_with_logits(
                self.policy(step.features).squeeze(1), step.keep.float()
            )
            loss = loss + weight * negative_log_likelihood
        self.optimizer.zero_grad()
        (loss / max(1, len(episode))).backward()
        self.optimizer.step()
        return mean

    def state_dict(self) -> Tensors:
        """Everything that changes, as tensors."""
        adam = with_prefix("adam", optimizer_state(self.optimizer))
        return super().state_dict() | with_prefix("policy", self.policy.state_dict()) | adam

    def load_state_dict(self, tensors: Tensors) -> None:
        """Restore what `state_dict` returned."""
        super().load_state_dict(tensors)
        self.policy.load_state_dict(strip_prefix("policy", tensors))
        load_optimizer_state(self.optimizer, strip_prefix("adam", tensors))


class TextSelector(ReinforcedSelector):
    """π_φ with a reward r_z for each text, which it gets if it keeps the text.

    Its perceptron estimates r_z in standard deviations of r, told by the median size because a few are far larger than
    the rest, and clamped at `LARGEST`. The log odds of keeping z are those of `initial_keep` plus that estimate divided
    by `caution`: of all policies the one with the largest mean of π times the clamped r − caution · KL(π ‖
    `initial_keep`). What a text was worth does not depend on what was kept, so that the policy learns from all rewards
    of the run, the latest `MEMORY` of them, each time.
    """

    def __init__(self, features: int, params: Selector, seed: int) -> None:
        super().__init__(features, params, seed)
        torch.nn.init.zeros_([*self.policy.parameters()][-1])
        self.features, self.rewards = torch.zeros(0, features), torch.zeros(0)

    @torch.no_grad()
    def probabilities(self, features: torch.Tensor) -> torch.Tensor:
        """π(z), the probability of being kept: (texts,)."""
        keep = self.params.initial_keep
        return (math.log(keep / (1 - keep)) + self.policy(features).squeeze(1) / self.params.caution).sigmoid()

    def learn(self, episode: Sequence[Step]) -> float:
        """Add the episode's rewards to those of before, and take `UPDATES` steps; returns the mean reward kept."""
        for step in episode:
            self.features = torch.cat([self.features, step.features])[-MEMORY:]
            self.rewards = torch.cat([self.rewards, torch.as_tensor(step.reward)])[-MEMORY:]
        deviation = NORMAL * self.rewards.abs().median() if len(self.rewards) > 1 else torch.zeros(())
        if deviation > 0:
            targets = (self.rewards / deviation).clamp(-LARGEST, LARGEST)
            for _ in range(UPDATES):
                # Half its gradient by the log odds, times π(1 − π), is Eq. 15 averaged over all actions: a step of
                # natural policy gradient (Kakade 2001). Without dividing, a policy that is near 1 hardly moves.
                loss = mse_loss(self.policy(self.features).squeeze(1), targets)
                self.optimizer.zero_grad()
                torch.autograd.backward(loss)
                self.optimizer.step()
        kept = [torch.as_tensor(step.reward)[step.keep] for step in episode]
        mean = torch.cat(kept).mean() if kept else torch.zeros(())
        return float(mean.nan_to_num())

    def state_dict(self) -> Tensors:
        """Everything that changes, as tensors."""
        return super().state_dict() | {"features": self.features, "rewards": self.rewards}

    def load_state_dict(self, tensors: Tensors) -> None:
        """Restore what `state_dict` returned."""
        super().load_state_dict(tensors)
        self.features, self.rewards = tensors["features"], tensors["rewards"]


def build_selector(features: int, params: Selector, seed: int, *, decides: bool = True) -> RandomSelector:
    """The selector of `selector.kind`.

    Args:
        features: number of features that the policy is shown.
        decides: whether there is any text that it may drop; if not, everything is kept.
    """
    match params.kind if decides else "none":
        case "none":
            return RandomSelector(1.0, seed)
        case "random":
            # Not the policy's seed: with its draws it would keep the very neighbours an untrained policy keeps.
            return RandomSelector(params.initial_keep, seed + 1)
        case "reinforced":
            policy = TextSelector if params.reward == "text" else ReinforcedSelector
            return policy(features, params, seed)
