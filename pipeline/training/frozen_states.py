"""What the frozen part of a model makes of texts, computed once: states in memory, put in its place afterwards."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import numpy as np
import torch
from transformers import PreTrainedModel

from pipeline.compute import distributed
from pipeline.compute.batching import TOKENS, Encoded, Inputs, Rows, budget_batches, collate
from pipeline.compute.precision import precision
from pipeline.models.frozen import Frozen, layer_states, returning

MEMORY = 2**30
"""Bytes of states at most; the frozen part is computed in each step for more texts."""


class FrozenStates:
    """The states of texts after the last frozen layer."""

    def __init__(self, model: PreTrainedModel, frozen: Frozen, encoded: Encoded) -> None:
        """Compute them, in batches that are the same at every start; the model ends in evaluation mode."""
        self.frozen = frozen
        self.rows: list[torch.Tensor] = [torch.empty(0)] * len(encoded)
        device = distributed.device()
        model.to(device).eval()
        for rows in budget_batches(encoded.lengths, TOKENS):
            inputs = collate(encoded, rows, device)
            with precision(device):
                states = layer_states(model, frozen, inputs)
            for row, own in zip(rows, states, strict=True):
                self.rows[row] = own[: encoded.lengths[row]].clone()

    def standing_in(self, rows: Rows) -> AbstractContextManager[None]:
        """Inside, the frozen layers return the states of these texts, zero at padding."""
        states = torch.nn.utils.rnn.pad_sequence([self.rows[row] for row in rows], batch_first=True)
        return returning(self.frozen, states)


def frozen_states(
    model: PreTrainedModel, frozen: Frozen | None, encoded: Encoded, epochs: float
) -> FrozenStates | None:
    """The states, if they are used more than once, can stand in for the layers and fit into `MEMORY`."""
    if frozen is None or frozen.sizes is None or epochs < 2:
        return None
    size = int(encoded.lengths.sum()) * model.config.hidden_size * np.dtype(np.float32).itemsize
    return FrozenStates(model, frozen, encoded) if size <= MEMORY else None


def batch_states(
    model: PreTrainedModel, frozen: Frozen | None, batches: Sequence[Inputs]
) -> Callable[[int], AbstractContextManager[None]] | None:
    """By the position of a batch, a context in which the frozen layers return its states; None as in `frozen_states`.

    The states are those that the layers compute for the very same batch, so that outputs are the same to the last bit.
    """
    tokens = sum(batch["input_ids"].numel() for batch in batches)
    if frozen is None or frozen.sizes is None or tokens * model.config.hidden_size * 4 > MEMORY:
        return None
    model.to(distributed.device()).eval()
    states = [layer_states(model, frozen, batch) for batch in batches]
    return lambda position: returning(frozen, states[position])
