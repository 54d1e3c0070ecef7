"""The selector: a policy π_φ that keeps or drops neighbours, paid by the student's progress (Eqs. 13–15), or chance."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, log_softmax

from pipeline.params.schema import Selector
from pipeline.training.checkpoint import Tensors, strip_prefix, with_prefix
from pipeline.training.optimizer import load_optimizer_state, optimizer_state


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an episode: the state of each neighbour in the batch, what was done with it, and the reward."""

    state: torch.Tensor
    keep: torch.Tensor
    reward: float


def returns(rewards: Sequence[float], discount: float) -> list[float]:
    """r(τ) of each step: its reward and all that follow, each step further off worth γ times less (Eq. 14, p. 5)."""
    out: list[float] = []
    ahead = 0.0
    for reward in reversed(rewards):
        ahead = reward + discount * ahead
        out.append(ahead)
    return out[::-1]


def state_of(
    student: torch.Tensor,
    teacher: torch.Tensor,
    labels: torch.Tensor,
    log_p: torch.Tensor,
    losses: Sequence[torch.Tensor],
    *,
    regression: bool,
    representations: Sequence[torch.Tensor] = (),
) -> torch.Tensor:
    """What the policy sees of each neighbour: (texts, features), without gradient.

    Probabilities (regression: outputs) of teacher and student, the loss of each against the original's label, the
    distillation losses, log P_s(z|x) standardised over all neighbours, and representations if given.

    Args:
        student, teacher: logits, (texts, labels).
        labels: (texts,), class indices or numbers.
        log_p: (texts,), standardised.
        losses: distillation losses, each (texts,).
        representations: [CLS] states, each (texts, width).
    """
    parts: list[torch.Tensor] = []
    for logits in (teacher, student):
        if regression:
            parts += [logits, (logits - labels.unsqueeze(1)).square()]
        else:
            parts += [log_softmax(logits, -1).exp(), cross_entropy(logits, labels, reduction="none").unsqueeze(1)]
    parts += [loss.unsqueeze(1) for loss in losses]
    parts += [log_p.unsqueeze(1), *representations]
    return torch.cat([part.detach().float() for part in parts], dim=1)


class RandomSelector:
    """Keeps each neighbour with the same chance: what a policy that learns has to beat at its own rate."""

    def __init__(self, params: Selector, seed: int) -> None:
        self.params = params
        self.chance = torch.Generator().manual_seed(seed)

    def probabilities(self, state: torch.Tensor) -> torch.Tensor:
        """π(z), the chance of being kept: (texts,)."""
        return torch.full((len(state),), self.params.initial_keep)

    def decide(self, probabilities: torch.Tensor) -> torch.Tensor:
        """Draw keep (True) or drop for each neighbour: (texts,) boolean."""
        return torch.rand(probabilities.shape, generator=self.chance) < probabilities

    def state(self) -> Tensors:
        """All that changes, as tensors."""
        return {"chance": self.chance.get_state()}

    def restore(self, tensors: Tensors) -> None:
        """Go back to a state."""
        self.chance.set_state(tensors["chance"])


class ReinforcedSelector(RandomSelector):
    """π_φ: a two-layer perceptron over the state of a neighbour, trained by REINFORCE at the end of each episode."""

    def __init__(self, features: int, params: Selector, seed: int) -> None:
        super().__init__(params, seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            last = torch.nn.Linear(params.hidden, 1)
            self.policy = torch.nn.Sequential(torch.nn.Linear(features, params.hidden), torch.nn.Tanh(), last)
        torch.nn.init.zeros_(last.weight)
        torch.nn.init.constant_(last.bias, math.log(params.initial_keep / (1 - params.initial_keep)))
        self.optimizer = torch.optim.Adam(self.policy.parameters(), lr=params.learning_rate, betas=(0.9, 0.998))

    @torch.no_grad()
    def probabilities(self, state: torch.Tensor) -> torch.Tensor:
        """π(z), the chance of being kept: (texts,)."""
        return self.policy(state).squeeze(1).sigmoid()

    def learn(self, episode: Sequence[Step]) -> float:
        """One step of gradient ascent on Σ_t r(τ_t) Σ_z log π(a_z|s_z) (Eq. 15, p. 5); gives the mean return.

        Both sums are means, so that the step does not grow with the batch or the episode.
        """
        value = torch.tensor(returns([step.reward for step in episode], self.params.discount))
        mean = float(value.mean()) if episode else 0.0
        if self.params.normalise_returns and len(episode) > 1:
            value = (value - value.mean()) / (value.std() + 1e-8)
        loss = torch.zeros((), requires_grad=True)
        for step, worth in zip(episode, value, strict=True):
            if not len(step.state):
                continue
            surprise = binary_cross_entropy_with_logits(self.policy(step.state).squeeze(1), step.keep.float())
            loss = loss + worth * surprise
        self.optimizer.zero_grad()
        (loss / max(1, len(episode))).backward()
        self.optimizer.step()
        return mean

    def state(self) -> Tensors:
        """All that changes, as tensors."""
        return (
            super().state()
            | with_prefix("policy", self.policy.state_dict())
            | with_prefix("adam", optimizer_state(self.optimizer))
        )

    def restore(self, tensors: Tensors) -> None:
        """Go back to a state."""
        super().restore(tensors)
        self.policy.load_state_dict(strip_prefix("policy", tensors))
        load_optimizer_state(self.optimizer, strip_prefix("adam", tensors))
