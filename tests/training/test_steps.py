"""The batches of a training run, from the first that a killed run has not trained on."""

import numpy as np
import pytest
import torch
from helpers.killed import EveryStep, Killed

from pipeline.errors import InputError
from pipeline.training.optimizer import TrainState
from pipeline.training.steps import remaining_batches


def train(checkpoint=None, learning_rate=0.1):
    """Six steps of one weight on random numbers, which are drawn endlessly."""
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.ones_(model.weight)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    state = TrainState(model, optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0), "x.learning_rate")
    rng = np.random.default_rng(1)
    batches = iter(rng.random, None)
    drawn = []
    for batch in remaining_batches(state, batches, steps=6, description="test", checkpoint=checkpoint):
        drawn.append(batch)
        state.step((model.weight - batch).square().sum())
    return drawn, model.weight.item(), rng.random()


def test_a_killed_run_resumes_with_the_next_batch(work_cache):
    drawn, weight, after = train()
    assert drawn == np.random.default_rng(1).random(6).tolist()
    with pytest.raises(Killed):
        train(EveryStep(2))
    assert train(EveryStep()) == (drawn[2:], weight, after)
    assert train(EveryStep())[:2] == ([], weight)


def test_weights_that_the_last_step_makes_infinite():
    with pytest.raises(
        InputError, match=r"^x\.learning_rate: got inf, with which the loss is not finite; accepted: a lower one$"
    ):
        train(learning_rate=float("inf"))
