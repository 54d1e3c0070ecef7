"""What a training run changes: weights, optimizer state, learning rate; and the step that all training loops take."""

import math
from dataclasses import dataclass

import torch

from pipeline.compute import distributed
from pipeline.errors import InputError
from pipeline.params.models import Fit
from pipeline.training.checkpoint import Tensors, strip_prefix, with_prefix


@dataclass
class TrainState:
    """A model in training, with its optimizer and learning rate schedule."""

    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LambdaLR
    key: str
    """The parameter that sets the learning rate, as errors name it: `teacher.learning_rate`."""
    loss: float = 0.0
    """Mean loss of the last step's batch."""

    def step(self, loss: torch.Tensor | None) -> float:
        """Take one step down a loss, the gradient clipped to norm 1; with None only the learning rate moves on.

        With several processes each gives its own loss, and all take the same step down the mean. Returns that mean.
        Raises InputError if it is not finite.
        """
        self.optimizer.zero_grad()
        if loss is not None:
            torch.autograd.backward(loss)
            distributed.average_gradients(self.model.parameters())
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        # Without gradients it changes nothing.
        self.optimizer.step()
        self.schedule.step()
        if loss is not None:
            self.loss = distributed.all_reduce_sum(loss.item()) / distributed.world_size()
            self.check_finite(self.loss)
        return self.loss

    def check_finite(self, value: float) -> None:
        """Raise InputError if a loss, or a sum of what was trained, is NaN or infinite."""
        check_finite(value, self.key, float(self.schedule.base_lrs[0]))

    def state_dict(self) -> Tensors:
        """Trained weights, optimizer state and steps."""
        trained = {name for name, weight in self.model.named_parameters() if weight.requires_grad}
        whole = self.model.state_dict()
        weights = {name: whole[name] for name in whole if name in trained}
        steps = {"steps": torch.tensor(self.schedule.last_epoch)}
        return with_prefix("weights", weights) | with_prefix("optimizer", optimizer_state(self.optimizer)) | steps

    def load_state_dict(self, tensors: Tensors) -> None:
        """Go back to what `state_dict` returned."""
        self.model.load_state_dict(strip_prefix("weights", tensors), strict=False)
        load_optimizer_state(self.optimizer, strip_prefix("optimizer", tensors))
        schedule = self.schedule
        schedule.last_epoch = int(tensors["steps"])
        groups = zip(self.optimizer.param_groups, schedule.lr_lambdas, schedule.base_lrs, strict=True)
        for group, factor, learning_rate in groups:
            group["lr"] = learning_rate * factor(schedule.last_epoch)


def check_finite(value: float, key: str, learning_rate: float) -> None:
    """Raise InputError, which names the learning rate, if a loss is NaN or infinite."""
    if not math.isfinite(value):
        raise InputError(f"{key}: got {learning_rate}, with which the loss is not finite; accepted: a lower one")


def optimizer_state(optimizer: torch.optim.Optimizer) -> Tensors:
    """An optimizer's state of each parameter, by the parameter's index: `3/exp_avg`."""
    states = optimizer.state_dict()["state"]
    return {f"{index}/{name}": tensor for index, state in states.items() for name, tensor in state.items()}


def load_optimizer_state(optimizer: torch.optim.Optimizer, tensors: Tensors) -> None:
    """Give an optimizer what `optimizer_state` returned."""
    states: dict[int, Tensors] = {}
    for name, tensor in tensors.items():
        index, key = name.split("/")
        states.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})


def adamw(model: torch.nn.Module, fit: Fit) -> torch.optim.AdamW:
    """AdamW with weight decay on matrices, none on biases and LayerNorm."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in trained if parameter.ndim > 1], "weight_decay": fit.weight_decay},
        {"params": [parameter for parameter in trained if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=fit.learning_rate, fused=True)


def warm_up_and_decay(optimizer: torch.optim.Optimizer, steps: int, warmup: float) -> torch.optim.lr_scheduler.LambdaLR:
    """Let the learning rate rise linearly over `warmup` (a fraction) of the steps, then fall linearly towards 0."""
    rising = min(round(warmup * steps), steps - 1)

    def factor(step: int) -> float:
        return (step + 1) / (rising + 1) if step < rising else max(0.0, (steps - step) / (steps - rising))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
