"""The optimizer, the learning rate schedule and the training step, whose state can be saved and restored."""

import pytest
import torch

from pipeline.errors import InputError
from pipeline.models.loading import load_classifier
from pipeline.params.models import Fit
from pipeline.training.optimizer import (
    TrainState,
    adamw,
    load_optimizer_state,
    optimizer_state,
    warm_up_and_decay,
)


@pytest.fixture
def model(tiny_classifier):
    return load_classifier(str(tiny_classifier), "teacher", ["negative", "positive"])


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_no_decay_of_biases_and_layer_norms(model):
    decayed, undecayed = adamw(model, Fit(weight_decay=0.1)).param_groups
    assert (decayed["weight_decay"], undecayed["weight_decay"]) == (0.1, 0.0)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert all(
        names[id(parameter)].endswith("bias") or "LayerNorm" in names[id(parameter)]
        for parameter in undecayed["params"]
    )
    assert not any(
        "LayerNorm" in names[id(parameter)] or names[id(parameter)].endswith("bias") for parameter in decayed["params"]
    )
    assert len(decayed["params"]) + len(undecayed["params"]) == len(names)


@pytest.mark.parametrize(
    ("steps", "warmup", "rates"),
    [
        (4, 0.0, [1, 3 / 4, 2 / 4, 1 / 4]),
        (5, 0.4, [1 / 3, 2 / 3, 1, 2 / 3, 1 / 3]),
        (2, 1.0, [1 / 2, 1]),
        (1, 1.0, [1]),
    ],
)
def test_the_rate_rises_and_falls(steps, warmup, rates):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = warm_up_and_decay(optimizer, steps, warmup)
    learning_rates = []
    for _ in range(steps):
        learning_rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert learning_rates == pytest.approx(rates)


def test_a_state_is_restored(tiny_classifier):
    """Weights, moments and the learning rate."""

    def start():
        model = load_classifier(str(tiny_classifier), "teacher", ["negative", "positive"]).eval()
        optimizer = adamw(model, Fit(learning_rate=0.01))
        return TrainState(model, optimizer, warm_up_and_decay(optimizer, 10, 0.3), "teacher.learning_rate")

    def step(state):
        tokens = torch.arange(6).reshape(2, 3)
        state.step(state.model(input_ids=tokens, labels=torch.tensor([0, 1])).loss)

    one, other = start(), start()
    assert optimizer_state(one.optimizer) == {}
    step(one)
    step(one)
    other.load_state_dict({name: tensor.clone() for name, tensor in one.state_dict().items()})
    assert same(one.state_dict(), other.state_dict())
    assert one.schedule.get_last_lr() == [group["lr"] for group in other.optimizer.param_groups]
    step(one)
    step(other)
    assert same(one.state_dict(), other.state_dict())


def test_the_state_of_an_optimizer():
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([weight])
    weight.grad = torch.tensor([1.0, 2.0])
    optimizer.step()
    saved = optimizer_state(optimizer)
    assert set(saved) == {"0/step", "0/exp_avg", "0/exp_avg_sq"}
    assert torch.allclose(saved["0/exp_avg"], torch.tensor([0.1, 0.2]))
    fresh = torch.optim.Adam([weight])
    load_optimizer_state(fresh, saved)
    assert same(optimizer_state(fresh), saved)


@pytest.fixture
def state():
    """One weight of value 1, with plain gradient descent at a constant learning rate."""
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.ones_(model.weight)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)
    return TrainState(model, optimizer, schedule, "teacher.learning_rate")


def test_a_step_clips_the_gradient_and_returns_the_loss(state):
    assert state.step(10 * state.model.weight.sum()) == 10
    assert state.model.weight.item() == pytest.approx(0.5)
    state.step(0.1 * state.model.weight.sum())
    assert state.model.weight.item() == pytest.approx(0.45)
    state.step(None)
    assert state.model.weight.item() == pytest.approx(0.45)
    assert state.schedule.last_epoch == 3


def test_a_loss_that_is_nan_names_the_learning_rate(state):
    message = r"^teacher\.learning_rate: got 0\.5, with which the loss is not finite; accepted: a lower one$"
    with pytest.raises(InputError, match=message):
        state.step(state.model.weight.sum() * torch.nan)
