"""Data-parallel training on several processes, as torchrun and `accelerate launch` start them.

Every process goes through the same batches, works on its rows of each, and knows every result. With a single process
gathering, summing and broadcasting return their input.
"""

import logging
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import broadcast, gather, reduce

from pipeline.compute.batching import Rows

logger = logging.getLogger(__name__)


def _state() -> PartialState:
    # Without a GPU, accelerate ignores the other processes unless it is told to use the CPU.
    return PartialState(cpu=not torch.cuda.is_available())


def device() -> torch.device:
    """The accelerator of this process if there is one, else the CPU; logged when it is first used."""
    accelerator = _state().device
    # accelerate numbers the CPU, and moving a tensor to a CPU with a number copies it.
    chosen = torch.device("cpu") if accelerator.type == "cpu" else accelerator
    _log_device(chosen)
    return chosen


@lru_cache
def _log_device(chosen: torch.device) -> None:
    logger.info("device: %s (process %d of %d)", chosen, rank() + 1, world_size())


def world_size() -> int:
    """Number of processes."""
    return _state().num_processes


def rank() -> int:
    """Index of this process, from 0; process 0 writes the outputs."""
    return _state().process_index


def local_rows(rows: Sequence[int] | Rows) -> tuple[Rows, int]:
    """The rows of a batch that this rank works on, every `world_size()`-th, and how many of them have weight.

    If a batch has fewer rows than ranks, a rank without rows runs the batch's first row with weight 0, so that all
    ranks take part in every collective.
    """
    batch = np.asarray(rows, dtype=np.int64)
    local = batch[rank() :: world_size()]
    return (local, len(local)) if len(local) else (batch[:1], 0)


def loss_scale(local_count: int, batch_size: int) -> float:
    """The factor for the mean over this rank's rows that makes the mean over ranks the mean over all rows."""
    return world_size() * local_count / batch_size


def all_gather_rows(local: torch.Tensor, batch_size: int) -> torch.Tensor:
    """Gather the ranks' rows of a batch, in the order of the batch.

    Args:
        local: a value for each row of this rank, (local rows, …).
        batch_size: rows of the whole batch.

    Returns (batch_size, …), on the device of `local`.
    """
    if world_size() == 1:
        return local
    most = -(-batch_size // world_size())
    padded = torch.zeros((most, *local.shape[1:]), dtype=local.dtype, device=device())
    padded[: len(local)] = local
    # (ranks × rows, …) in the order of ranks, to (rows × ranks, …): row i of the batch is on rank i mod ranks.
    gathered = gather(padded).reshape(world_size(), most, *local.shape[1:]).transpose(0, 1)
    return gathered.reshape(-1, *local.shape[1:])[:batch_size].to(local.device)


def broadcast_floats(numbers: Sequence[float]) -> list[float]:
    """The numbers of rank 0, on every rank."""
    if world_size() == 1:
        return list(numbers)
    tensor = torch.tensor(numbers, dtype=torch.float64, device=device())
    return broadcast(tensor).tolist()


def all_reduce_sum(number: float) -> float:
    """The sum over ranks of a number."""
    if world_size() == 1:
        return number
    tensor = torch.tensor(number, dtype=torch.float64, device=device())
    return float(reduce(tensor, "sum"))


def average_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Replace the gradients by their mean over ranks, in place."""
    if world_size() == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    mean = reduce(torch.cat([gradient.reshape(-1) for gradient in gradients]), "mean")
    for gradient, part in zip(gradients, mean.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))
