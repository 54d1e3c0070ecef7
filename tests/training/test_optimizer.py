"""The optimizer and the learning rate of every training run, and its state put away and taken out again."""

import pytest
import torch

from pipeline.models.loading import load_classifier
from pipeline.params.models import Fit
from pipeline.training.optimizer import (
    Training,
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
    decayed, kept = adamw(model, Fit(weight_decay=0.1)).param_groups
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.1, 0.0)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert all(names[id(one)].endswith("bias") or "LayerNorm" in names[id(one)] for one in kept["params"])
    assert not any("LayerNorm" in names[id(one)] or names[id(one)].endswith("bias") for one in decayed["params"])
    assert len(decayed["params"]) + len(kept["params"]) == len(names)


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
    found = []
    for _ in range(steps):
        found.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert found == pytest.approx(rates)


def test_a_state_comes_back(tiny_classifier):
    """Weights, moments and the learning rate; on the way back nothing is made of thin air."""

    def start():
        model = load_classifier(str(tiny_classifier), "teacher", ["negative", "positive"]).eval()
        optimizer = adamw(model, Fit(learning_rate=0.01))
        return Training(model, optimizer, warm_up_and_decay(optimizer, 10, 0.3))

    def step(training):
        tokens = torch.arange(6).reshape(2, 3)
        training.step(training.model(input_ids=tokens, labels=torch.tensor([0, 1])).loss)

    one, other = start(), start()
    assert optimizer_state(one.optimizer) == {}
    step(one)
    step(one)
    other.restore({name: tensor.clone() for name, tensor in one.state().items()})
    assert same(one.state(), other.state())
    assert one.schedule.get_last_lr() == [group["lr"] for group in other.optimizer.param_groups]
    step(one)
    step(other)
    assert same(one.state(), other.state())


def test_an_optimizer_s_memory():
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([weight])
    weight.grad = torch.tensor([1.0, 2.0])
    optimizer.step()
    kept = optimizer_state(optimizer)
    assert set(kept) == {"0/step", "0/exp_avg", "0/exp_avg_sq"}
    assert torch.allclose(kept["0/exp_avg"], torch.tensor([0.1, 0.2]))
    fresh = torch.optim.Adam([weight])
    load_optimizer_state(fresh, kept)
    assert same(optimizer_state(fresh), kept)
