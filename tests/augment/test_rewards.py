"""Rewards and their shares, by hand and by what must hold of any."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from pipeline.augment.rewards import rewards, weights


def test_by_hand():
    """log P_s of -1 and -3 are one deviation above and below their mean; a text's only neighbour is neither."""
    log_p, pi, original = np.array([-1.0, -3.0, -50.0]), np.array([0.5, 0.75, 0.9]), np.array([0, 0, 1])
    found = rewards(log_p, pi, original, scale=4.0)
    assert found == pytest.approx([1 + 2, -1 + 3, 3.6])
    assert weights(found, original) == pytest.approx([1 / (1 + math.exp(-1)), 1 / (1 + math.exp(1)), 1.0])


def test_neighbours_as_likely_as_each_other_differ_by_the_selector_alone():
    original = np.zeros(3, dtype=np.int64)
    found = rewards(np.full(3, -20.0), np.array([0.1, 0.9, 0.5]), original, scale=2.0)
    assert found == pytest.approx([0.2, 1.8, 1.0])


finite = st.floats(-500, 0)
judged = st.lists(st.tuples(finite, st.floats(0, 1), st.integers(0, 4)), min_size=1, max_size=40)


@given(judged, st.floats(0, 1000))
def test_shares_are_positive_and_sum_to_one_for_each_original(rows, scale):
    log_p, pi, given_ = (np.array(column) for column in zip(*rows, strict=True))
    _, original = np.unique(given_, return_inverse=True)
    reward = rewards(log_p, pi, original, scale=scale)
    share = weights(reward, original)
    assert (share >= 0).all()
    assert np.bincount(original, share) == pytest.approx(np.ones(original.max() + 1))
    for each in range(original.max() + 1):
        assert share[original == each] == pytest.approx(softmax(reward[original == each]))


@given(judged, st.floats(-100, 100))
def test_only_differences_of_log_p_among_neighbours_of_one_original_count(rows, shift):
    log_p, pi, given_ = (np.array(column) for column in zip(*rows, strict=True))
    _, original = np.unique(given_, return_inverse=True)
    moved = rewards(log_p + shift * original, pi, original, scale=1.0)
    same = np.array([np.ptp(log_p[original == each]) < 1e-6 for each in original])
    assert moved[~same] == pytest.approx(rewards(log_p, pi, original, scale=1.0)[~same], abs=1e-4)


def test_nothing_to_share():
    nothing = np.zeros(0)
    assert weights(nothing, nothing.astype(np.int64)).tolist() == []
