"""Weights rounded to int8, against a solution of least squares for each input."""

import numpy as np
import pytest

from pipeline.serving import rounding
from pipeline.serving.rounding import round_weights


@pytest.fixture
def layer():
    """Weights (14 inputs, 6 outputs), their scales, and the inputs of 40 tokens, which are correlated."""
    rng = np.random.default_rng(3)
    weights = rng.normal(size=(14, 6))
    inputs = rng.normal(size=(40, 4)) @ rng.normal(size=(4, 14)) + 0.3 * rng.normal(size=(40, 14))
    return weights, np.abs(weights).max(0) / 7, inputs


def rounded_by_least_squares(weights, scales, squares):
    """After each input's weights are rounded, solve for the others anew, from the weights as they were."""
    damped = squares + np.diag(rounding.DAMPING * squares.diagonal())
    result = np.zeros(weights.shape)
    for row in range(len(weights)):
        done, rest = slice(0, row), slice(row, None)
        lost = weights[done] - result[done] * scales
        best = weights[rest] + np.linalg.solve(damped[rest, rest], damped[rest, done] @ lost)
        result[row] = np.clip(np.rint(best[0] / scales), -64, 64)
    return result


@pytest.mark.parametrize("block", [1, 4, 128])
def test_what_is_not_rounded_yet_makes_good_what_is(layer, block, monkeypatch):
    monkeypatch.setattr(rounding, "BLOCK", block)
    weights, scales, inputs = layer
    rounded = round_weights(weights, scales, inputs.T @ inputs)
    np.testing.assert_array_equal(rounded, rounded_by_least_squares(weights, scales, inputs.T @ inputs))
    nearest = np.rint(weights / scales) * scales
    errors = [np.square(inputs @ (each - weights)).sum() for each in (rounded * scales, nearest)]
    assert errors[0] < 0.5 * errors[1]


def test_inputs_that_are_not_correlated_are_rounded_to_the_nearest(layer):
    weights, scales, _ = layer
    for squares in (np.eye(14), np.zeros((14, 14))):
        np.testing.assert_array_equal(round_weights(weights, scales, squares), np.rint(weights / scales))
