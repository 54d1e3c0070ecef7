"""Eq. 11 in its three readings, against exact counts, scipy's binomial and the design's own figures."""

import math
from decimal import Decimal, localcontext
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipeline.augment.distance import draw_distance, log_choose, log_p_distance

COUNTS = ["rescaled", "literal", "vocabulary_free"]
lengths = st.integers(1, 200)
alphas = st.floats(0.2, 4)


def probs(length, alpha, count, *, vocabulary=30522, min_distance=0):
    return np.exp(log_p_distance(length, alpha=alpha, vocabulary=vocabulary, count=count, min_distance=min_distance))


def exactly(length, alpha, vocabulary, words_changed):
    """P(d) with 60 digits, from C(m,d), (|V|−1)^`words_changed(d)` and e^(−d/α)."""
    with localcontext() as context:
        context.prec = 60
        words, heat = Decimal(vocabulary - 1), Decimal(alpha)
        weights = [
            math.comb(length, d) * words ** words_changed(Decimal(d), heat) * (-d / heat).exp()
            for d in range(length + 1)
        ]
        return [float(weight / sum(weights)) for weight in weights]


@given(lengths, alphas)
def test_without_the_vocabulary_it_is_binomial(length, alpha):
    found = log_p_distance(length, alpha=alpha, vocabulary=30522, count="vocabulary_free", min_distance=0)
    wanted = stats.binom(length, 1 / (1 + math.exp(1 / alpha))).logpmf(range(length + 1))
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("length", [1, 2, 7, 20])
@pytest.mark.parametrize("vocabulary", [3, 50, 30522])
@pytest.mark.parametrize("alpha", [0.25, 0.6, 1.0, 1.75])
def test_literal_and_rescaled_equal_exact_sums(length, vocabulary, alpha):
    literal = exactly(length, alpha, vocabulary, lambda d, _: d)
    np.testing.assert_allclose(probs(length, alpha, "literal", vocabulary=vocabulary), literal, rtol=1e-9)
    rescaled = exactly(length, alpha, vocabulary, lambda d, heat: d - d / heat)
    np.testing.assert_allclose(probs(length, alpha, "rescaled", vocabulary=vocabulary), rescaled, rtol=1e-9)


def test_literal_counts_every_text():
    """All texts of three words from a vocabulary of four, each weighing e^(−distance/α)."""
    weights = np.zeros(4)
    for text in product(range(4), repeat=3):
        distance = sum(word != 0 for word in text)
        weights[distance] += math.exp(-distance / 0.7)
    np.testing.assert_allclose(probs(3, 0.7, "literal", vocabulary=4), weights / weights.sum())


@given(lengths, alphas, st.sampled_from(COUNTS), st.integers(0, 5))
def test_it_sums_to_one(length, alpha, count, min_distance):
    assert math.isclose(probs(length, alpha, count, min_distance=min(min_distance, length)).sum(), 1, rel_tol=1e-9)


@pytest.mark.parametrize(
    ("count", "alpha", "mean"),
    [
        ("rescaled", 0.6, "0.004"),
        ("rescaled", 0.8, "0.42"),
        ("rescaled", 1.0, "5.38"),
        ("vocabulary_free", 0.6, "3.2"),
        ("vocabulary_free", 0.8, "4.5"),
        ("vocabulary_free", 1.0, "5.4"),
    ],
)
def test_mean_distances_of_the_design(count, alpha, mean):
    found = probs(20, alpha, count) @ np.arange(21)
    assert format(found, f".{len(mean) - 2}f") == mean


@pytest.mark.parametrize("alpha", [0.6, 0.8, 1.0])
def test_as_printed_everything_changes(alpha):
    assert probs(20, alpha, "literal")[20] > 0.996


@given(lengths, alphas, st.sampled_from(COUNTS), st.data())
def test_conditioned_on_the_least(length, alpha, count, data):
    min_distance = data.draw(st.integers(1, length))
    free = log_p_distance(length, alpha=alpha, vocabulary=50, count=count, min_distance=0)
    bound = log_p_distance(length, alpha=alpha, vocabulary=50, count=count, min_distance=min_distance)
    assert (bound[:min_distance] == -np.inf).all()
    np.testing.assert_allclose(np.diff(bound[min_distance:]), np.diff(free[min_distance:]), atol=1e-8)
    assert math.isclose(np.exp(bound).sum(), 1, rel_tol=1e-9)


@pytest.mark.parametrize("length", [0, 2])
def test_a_text_with_too_few_words_has_no_distance(length):
    assert (probs(length, 1.0, "rescaled", min_distance=3) == 0).all()


@pytest.mark.parametrize(("length", "distance"), [(5, 0), (5, 2), (5, 5), (60, 30)])
def test_ways_to_choose_positions(length, distance):
    assert math.isclose(math.exp(log_choose(length, distance)), math.comb(length, distance), rel_tol=1e-9)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("min_distance", [0, 2])
def test_draws_have_the_distribution(count, min_distance):
    log_p = log_p_distance(8, alpha=0.9, vocabulary=30, count=count, min_distance=min_distance)
    drawn = [draw_distance(log_p, quantile) for quantile in np.random.default_rng(1).random(4000)]
    expected = 4000 * np.exp(log_p)
    observed = np.bincount(drawn, minlength=9)
    assert (observed[expected == 0] == 0).all()
    # Distances that come less than five times are counted together.
    often = expected >= 5
    observed = [*observed[often], observed[~often].sum()]
    expected = [*expected[often], max(expected[~often].sum(), 1e-9)]
    assert stats.chisquare(observed, expected, sum_check=False).pvalue > 0.001


@given(lengths, alphas, st.sampled_from(COUNTS), st.integers(0, 1))
def test_the_outermost_quantiles_are_distances(length, alpha, count, min_distance):
    log_p = log_p_distance(length, alpha=alpha, vocabulary=30522, count=count, min_distance=min_distance)
    for quantile in (0.0, np.nextafter(1.0, 0.0)):
        assert min_distance <= draw_distance(log_p, quantile) <= length
