"""Metrics computed by hand, and the resampled ones against scikit-learn and SciPy."""

import time
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    log_loss,
    matthews_corrcoef,
    mean_absolute_error,
    r2_score,
)

from pipeline.evaluation.scoring import (
    _class_metrics,
    _number_metrics,
    _resample_weights,
    decide,
    headline,
    intervals,
    loss,
    readable,
    rounded,
    scores,
)

TWO = ["negative", "positive"]
THREE = ["contradiction", "entailment", "neutral"]


def test_by_hand():
    labels, predicted = np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 0])
    # Two of three positives found, two of three predicted positives correct: F1 is 2/3.
    assert scores(labels, predicted, TWO) == pytest.approx({"accuracy": 3 / 5, "f1": 2 / 3, "mcc": 1 / 6})
    # With three classes, of which the last is not there: the mean of 1/2 and 2/3.
    assert scores(labels, predicted, THREE) == pytest.approx({"accuracy": 3 / 5, "f1": 7 / 12, "mcc": 1 / 6})


def test_correlations_by_hand():
    labels, predicted = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 2.0, 3.0, 10.0])
    # The only error is 6, the variance of the labels 5/4.
    wanted = {"r2": 1 - 9 / 1.25, "pearson": 14 / np.sqrt(5 * 50), "spearman": 1.0, "mae": 1.5, "rmse": 3.0}
    assert scores(labels, predicted, []) == pytest.approx(wanted)


def test_an_offset_is_seen_by_errors_and_not_by_correlations():
    labels = np.array([1, 2, 3, 4, 5], np.float32)
    right, off = scores(labels, labels, []), scores(labels, labels + 4, [])
    assert right == pytest.approx({"r2": 1, "pearson": 1, "spearman": 1, "mae": 0, "rmse": 0})
    assert off == pytest.approx({"r2": -7, "pearson": 1, "spearman": 1, "mae": 4, "rmse": 4})
    assert scores(labels, np.full(5, 3.0), [])["r2"] == 0


@pytest.mark.parametrize("rows", [2, 1])
def test_correlation_with_a_constant_is_undefined(rows):
    labels, predicted = np.array([1.0, 3.0])[:rows], np.full(rows, 2.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = scores(labels, predicted, [])
        bounds = intervals(labels, predicted, [], 100, 1)
    told = rounded({**values, **bounds})
    undefined = {name for name, value in told.items() if value is None}
    assert {name for name in told if name.startswith(("pearson", "spearman"))} <= undefined
    assert {told[f"{name}{suffix}"] for name in ("mae", "rmse") for suffix in ("", "_low", "_high")} == {1.0}
    assert (told["r2"] is None) == (rows == 1)


def test_memory_does_not_grow_with_the_square_of_the_classes():
    """A table of all pairs of classes, of which there are a million, would not fit into memory."""
    rng = np.random.default_rng(0)
    names = [str(name) for name in range(1000)]
    labels = rng.integers(1000, size=400)
    predicted = np.where(rng.random(400) < 0.8, labels, rng.integers(1000, size=400))
    values, bounds = scores(labels, predicted, names), intervals(labels, predicted, names, 100, 1)
    assert bounds["accuracy_low"] < values["accuracy"] < bounds["accuracy_high"]
    assert 0.7 < values["accuracy"] < 0.9


def test_numbers_of_any_unit_keep_their_digits():
    assert [readable(number) for number in (0.0, 0.5, -3.61239, 1963.45678, 1234567.25)] == [
        0, 0.5, -3.6124, 1963.4568, 1234567.25,
    ]  # fmt: skip
    assert [readable(number) for number in (0.0017412345, -1.7412345e-7)] == [0.001741, -1.741e-7]
    assert np.isnan(readable(float("nan")))
    numbers = rounded({"mae": 0.00017412, "mae_low": 1.23456e-6, "mean": 2e-5, "r2": 0.00012, "pearson": float("nan")})
    assert numbers == {"mae": 0.0001741, "mae_low": 1.235e-6, "mean": 2e-5, "r2": 0.0001, "pearson": None}


@pytest.mark.parametrize("unit", [1e-9, 1e6])
def test_correlations_do_not_depend_on_the_unit(unit):
    rng = np.random.default_rng(0)
    labels = rng.normal(size=80)
    predicted = labels + rng.normal(size=80)
    expected = intervals(labels, predicted, [], resamples=50, seed=1)
    found = intervals(labels * unit, predicted * unit, [], resamples=50, seed=1)
    for name in ("pearson_low", "pearson_high", "spearman_low", "r2_low"):
        assert found[name] == pytest.approx(expected[name])
    constant = intervals(labels * unit, np.full(80, unit / 3), [], resamples=50, seed=1)
    assert np.isnan(constant["pearson_low"])


def test_decide_and_headline():
    outputs = np.array([[0.1, 0.9, 0.3], [2.0, -1.0, 0.0]])
    assert decide(outputs, THREE).tolist() == [1, 0]
    assert decide(outputs[:, :1], []).tolist() == [0.1, 2.0]


def test_the_score_that_decides():
    labels = np.array([0] * 20 + [1] * 10)
    assert headline("auto", labels, TWO) == "accuracy"
    assert headline("auto", np.append(labels, 0), TWO) == "mcc"
    assert headline("auto", np.array([2, 2, 2, 1]), THREE) == "mcc"
    assert headline("auto", labels[:0], TWO) == "accuracy"
    assert [headline(score, np.append(labels, 0), TWO) for score in ("accuracy", "f1", "mcc")] == [
        "accuracy",
        "f1",
        "mcc",
    ]
    assert headline("auto", np.ones(3, np.float32), []) == "r2"


def test_a_constant_answer_has_no_mcc():
    """A student that says no to every pair has an accuracy of 0.75; one that says yes has an F1 of 0.4."""
    labels = np.repeat([0, 1], [75, 25])
    no, yes = (scores(labels, np.full(100, answer), TWO) for answer in (0, 1))
    assert (no["accuracy"], no["f1"], no["mcc"]) == (0.75, 0.0, 0.0)
    assert (yes["f1"], yes["mcc"]) == (0.4, 0.0)
    bounds = intervals(labels, np.zeros(100, np.int64), TWO, 100, 1)
    assert (bounds["mcc_low"], bounds["mcc_high"]) == (0.0, 0.0)


def test_scores_cost_little():
    """The validation texts are scored after every step of distillation, which takes a hundred milliseconds or more."""
    labels, predicted = np.random.default_rng(0).integers(2, size=(2, 100))
    start = time.perf_counter()
    for _ in range(100):
        scores(labels, predicted, TWO)
    assert time.perf_counter() - start < 0.5


@given(st.integers(0, 10**6), st.integers(2, 5), st.integers(1, 40), st.floats(0, 1))
@settings(max_examples=100, deadline=None)
def test_class_metrics_are_those_of_scikit_learn(seed, classes, rows, accuracy):
    rng = np.random.default_rng(seed)
    labels = rng.integers(rng.integers(1, classes + 1), size=rows)
    predicted = np.where(rng.random(rows) < accuracy, labels, rng.integers(classes, size=rows))
    found = scores(labels, predicted, [str(name) for name in range(classes)])
    average = "binary" if classes == 2 else "macro"
    with warnings.catch_warnings():
        # A single label in both is a warning there.
        warnings.simplefilter("ignore")
        mcc = matthews_corrcoef(labels, predicted)
    assert found["accuracy"] == accuracy_score(labels, predicted)
    assert found["f1"] == pytest.approx(f1_score(labels, predicted, average=average, zero_division=0.0))
    assert found["mcc"] == pytest.approx(mcc)


def test_loss():
    rng = np.random.default_rng(0)
    outputs, labels = rng.normal(size=(50, 3)).astype(np.float32), rng.integers(3, size=50)
    probs = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
    assert loss(labels, outputs, THREE) == pytest.approx(log_loss(labels, probs, labels=[0, 1, 2]), rel=1e-5)
    assert loss(np.array([1.0, 2.0]), np.array([[2.0], [4.0]]), []) == pytest.approx(2.5)
    assert loss(np.array([1]), np.array([[2000.0, -2000.0]]), TWO) == pytest.approx(4000.0)


@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_resampled_class_metrics_are_those_of_the_drawn_rows(seed, classes, rows):
    classes = max(2, classes)
    rng = np.random.default_rng(seed)
    labels, predicted = rng.integers(classes, size=(2, rows))
    weights = _resample_weights(rows, 5, rng)
    values = _class_metrics(labels, predicted, classes, weights)
    average = "binary" if classes == 2 else "macro"
    for line, weight in enumerate(weights.astype(int)):
        drawn = np.repeat(np.arange(rows), weight)
        expected = f1_score(labels[drawn], predicted[drawn], average=average, pos_label=1, zero_division=0.0)
        assert values["f1"][line] == pytest.approx(expected)
        assert values["accuracy"][line] == pytest.approx(accuracy_score(labels[drawn], predicted[drawn]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert values["mcc"][line] == pytest.approx(matthews_corrcoef(labels[drawn], predicted[drawn]))


@given(st.integers(0, 10**6), st.integers(3, 40))
@settings(max_examples=60)
def test_resampled_correlations_are_those_of_the_drawn_rows(seed, rows):
    rng = np.random.default_rng(seed)
    labels = rng.integers(6, size=rows) / 5
    predicted = (labels + rng.normal(size=rows)).round(1)
    weights = _resample_weights(rows, 5, rng)
    values = _number_metrics(labels, predicted, 0, weights)
    for line, weight in enumerate(weights.astype(int)):
        drawn = np.repeat(np.arange(rows), weight)
        errors = predicted[drawn] - labels[drawn]
        assert values["mae"][line] == pytest.approx(mean_absolute_error(labels[drawn], predicted[drawn]))
        assert values["rmse"][line] == pytest.approx(np.linalg.norm(errors) / np.sqrt(rows))
        if np.ptp(labels[drawn]) == 0:
            assert np.isnan(values["r2"][line])
        else:
            assert values["r2"][line] == pytest.approx(r2_score(labels[drawn], predicted[drawn]))
        if np.ptp(labels[drawn]) == 0 or np.ptp(predicted[drawn]) == 0:
            assert np.isnan(values["pearson"][line])
            continue
        expected = stats.pearsonr(labels[drawn], predicted[drawn]).statistic
        assert values["pearson"][line] == pytest.approx(expected, abs=1e-8)
        expected = stats.spearmanr(labels[drawn], predicted[drawn]).statistic
        assert values["spearman"][line] == pytest.approx(expected, abs=1e-8)


def test_resamples_draw_as_many_rows_as_there_are():
    weights = _resample_weights(7, 50, np.random.default_rng(0))
    assert weights.shape == (50, 7)
    assert (weights.sum(1) == 7).all()


def test_intervals_cover_the_truth_nineteen_times_in_twenty():
    rng = np.random.default_rng(3)
    labels = np.zeros(300, dtype=np.int64)
    covered = 0
    for trial in range(200):
        bounds = intervals(labels, (rng.random(300) >= 0.7).astype(np.int64), TWO, 400, trial)
        covered += bounds["accuracy_low"] <= 0.7 <= bounds["accuracy_high"]
    assert 180 <= covered <= 199


def test_intervals_do_not_depend_on_the_blocks_and_are_fast():
    rng = np.random.default_rng(3)
    labels, predicted = rng.integers(2, size=(2, 5000))
    start = time.perf_counter()
    bounds = intervals(labels, predicted, TWO, 2000, 1)
    assert time.perf_counter() - start < 10
    assert bounds == intervals(labels, predicted, TWO, 2000, 1)
    values = scores(labels, predicted, TWO)
    for metric, value in values.items():
        assert bounds[f"{metric}_low"] < value < bounds[f"{metric}_high"]
    width = bounds["accuracy_high"] - bounds["accuracy_low"]
    assert width == pytest.approx(2 * 1.96 * np.sqrt(0.25 / 5000), rel=0.1)
