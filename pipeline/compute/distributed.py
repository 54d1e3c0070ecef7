"""One training run on several processes, as torchrun and `accelerate launch` start them; for one alone, nothing at all.

Every process goes through the same batches, works on its share of each, and knows all that was decided.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import broadcast, gather, reduce

from pipeline.compute.batching import Rows


def _state() -> PartialState:
    # Without a GPU accelerate asks to be told so, or it takes no notice of the others.
    return PartialState(cpu=not torch.cuda.is_available())


def device() -> torch.device:
    """The accelerator of this process if there is one, else the CPU."""
    given = _state().device
    # accelerate numbers the CPU, and what is moved to a CPU with a number is copied.
    return torch.device("cpu") if given.type == "cpu" else given


def world_size() -> int:
    """How many there are."""
    return _state().num_processes


def rank() -> int:
    """Which one this is, from 0; 0 is the one that publishes."""
    return _state().process_index


def local_rows(rows: Sequence[int] | Rows) -> tuple[Rows, int]:
    """The rows of a batch that this process works on, every so many-th, and how many of them count.

    Where none is left it goes through the batch's first, which counts for nothing: every process makes every step.
    """
    whole = np.asarray(rows, dtype=np.int64)
    mine = whole[rank() :: world_size()]
    return (mine, len(mine)) if len(mine) else (whole[:1], 0)


def loss_scale(mine: int, whole: int) -> float:
    """What the mean over this process's rows is to be multiplied by, for the processes' mean to be that of all rows."""
    return world_size() * mine / whole


def all_gather_rows(mine: torch.Tensor, rows: int) -> torch.Tensor:
    """Put the processes' shares of a batch together again, in the order of its rows.

    Args:
        mine: something of each row of this process's share, (share, …).
        rows: of the whole batch.
    """
    if world_size() == 1:
        return mine
    longest = -(-rows // world_size())
    padded = torch.zeros((longest, *mine.shape[1:]), dtype=mine.dtype, device=device())
    padded[: len(mine)] = mine
    # One process after the other, to one row of each after the other.
    whole = gather(padded).reshape(world_size(), longest, *mine.shape[1:]).transpose(0, 1)
    return whole.reshape(-1, *mine.shape[1:])[:rows].to(mine.device)


def broadcast_floats(numbers: Sequence[float]) -> list[float]:
    """The first process's numbers, in all."""
    if world_size() == 1:
        return list(numbers)
    given = torch.tensor(numbers, dtype=torch.float64, device=device())
    return broadcast(given).tolist()


def all_reduce_sum(number: float) -> float:
    """The sum of the processes' numbers."""
    if world_size() == 1:
        return number
    given = torch.tensor(number, dtype=torch.float64, device=device())
    return float(reduce(given, "sum"))


def average_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Make every process's gradients the mean of all."""
    if world_size() == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    mean = reduce(torch.cat([gradient.reshape(-1) for gradient in gradients]), "mean")
    for gradient, own in zip(gradients, mean.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(own.view_as(gradient))
