"""What moves while a model learns: its weights, what the optimizer remembers of them, the learning rate."""

from dataclasses import dataclass

import torch

from pipeline.compute import distributed
from pipeline.params.models import Fit
from pipeline.training.checkpoint import Tensors, strip_prefix, with_prefix


@dataclass(frozen=True)
class Training:
    """What moves in a training run: weights, what the optimizer remembers of them, the learning rate."""

    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LambdaLR

    def step(self, loss: torch.Tensor | None) -> None:
        """One step down a loss, its gradient at most 1 long; None moves nothing but the learning rate.

        Where there are several processes, each gives its own loss, and all take the same step down the mean.
        """
        self.optimizer.zero_grad()
        if loss is not None:
            torch.autograd.backward(loss)
            distributed.average_gradients(self.model.parameters())
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        # Without gradients it moves nothing.
        self.optimizer.step()
        self.schedule.step()

    def state(self) -> Tensors:
        """All of it as tensors; what modules give as their extra state, such as random numbers, belongs to it."""
        learns = {name for name, weight in self.model.named_parameters() if weight.requires_grad}
        whole = self.model.state_dict()
        weights = {name: whole[name] for name in whole if name in learns or name.endswith("_extra_state")}
        done = {"steps": torch.tensor(self.schedule.last_epoch)}
        return with_prefix("weights", weights) | with_prefix("optimizer", optimizer_state(self.optimizer)) | done

    def restore(self, tensors: Tensors) -> None:
        """Go back to a state."""
        self.model.load_state_dict(strip_prefix("weights", tensors), strict=False)
        load_optimizer_state(self.optimizer, strip_prefix("optimizer", tensors))
        schedule = self.schedule
        schedule.last_epoch = int(tensors["steps"])
        for group, share, rate in zip(self.optimizer.param_groups, schedule.lr_lambdas, schedule.base_lrs, strict=True):
            group["lr"] = rate * share(schedule.last_epoch)


def optimizer_state(optimizer: torch.optim.Optimizer) -> Tensors:
    """What an optimizer remembers of each parameter, by the parameter's number: `3/exp_avg`."""
    kept = optimizer.state_dict()["state"]
    return {f"{number}/{name}": tensor for number, state in kept.items() for name, tensor in state.items()}


def load_optimizer_state(optimizer: torch.optim.Optimizer, tensors: Tensors) -> None:
    """Give an optimizer its state back."""
    kept: dict[int, Tensors] = {}
    for name, tensor in tensors.items():
        number, key = name.split("/")
        kept.setdefault(int(number), {})[key] = tensor
    optimizer.load_state_dict({"state": kept, "param_groups": optimizer.state_dict()["param_groups"]})


def adamw(model: torch.nn.Module, fit: Fit) -> torch.optim.AdamW:
    """AdamW with weight decay on matrices, none on biases and LayerNorm."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in trained if parameter.ndim > 1], "weight_decay": fit.weight_decay},
        {"params": [parameter for parameter in trained if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=fit.learning_rate, fused=True)


def warm_up_and_decay(optimizer: torch.optim.Optimizer, steps: int, warmup: float) -> torch.optim.lr_scheduler.LambdaLR:
    """Let the learning rate rise linearly over a share of the steps, then fall linearly towards 0."""
    rise = min(round(warmup * steps), steps - 1)

    def share(step: int) -> float:
        return (step + 1) / (rise + 1) if step < rise else max(0.0, (steps - step) / (steps - rise))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, share)
