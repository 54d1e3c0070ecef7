"""Draws that are fair, exact and the same every time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.splitting import quantile_bins, sample, split_target
from pipeline.errors import InputError
from pipeline.params.data import Target

NAMES = ["negative", "neutral", "positive"]
seeds = st.integers(0, 10_000)


def keys(count):
    return [str(row) for row in range(1, count + 1)]


def split(strata, *, groups=None, names=NAMES, seed=1, **sizes):
    strata = np.asarray(strata, dtype=np.int64)
    rows = None if groups is None else [(group,) if isinstance(group, str) else group for group in groups]
    return split_target(Target(path="t.csv", **sizes), strata, keys(len(strata)), rows, names, seed)


def complaint(*args, **sizes):
    with pytest.raises(InputError) as caught:
        split(*args, **sizes)
    return str(caught.value)


@st.composite
def strata(draw, least=20):
    """Class indices, every class at least 20 times, in any order."""
    counts = draw(st.tuples(*[st.integers(least, 90)] * 3))
    return np.asarray(draw(st.permutations([each for each, count in enumerate(counts) for _ in range(count)])))


def assert_in_proportion(drawn, whole):
    """Each stratum's count is what Webster's rule allows: half a row, and its share of the others' halves."""
    totals = np.bincount(whole, minlength=3)
    counts = np.bincount(drawn, minlength=3)
    ideal = len(drawn) * totals / len(whole)
    assert (np.abs(counts - ideal) <= 0.5 + 1.5 * totals / len(whole) + 1e-9).all()


@given(strata(), seeds, st.integers(1, 15), st.integers(1, 15), st.integers(3, 30))
def test_sizes_are_exact_parts_disjoint_and_classes_in_proportion(strata, seed, validation, test, rows):
    made = split(strata, seed=seed, validation=validation, test=test, rows=rows)
    parts = [made.train, made.validation, made.test]
    assert [len(part) for part in parts] == [rows, validation, test]
    assert len(np.unique(np.concatenate(parts))) == rows + validation + test
    assert all((np.diff(part) > 0).all() for part in parts)
    assert_in_proportion(strata[made.test], strata)
    assert_in_proportion(strata[made.validation], np.delete(strata, made.test))
    assert np.bincount(strata[made.train], minlength=3).min() >= 1


@given(strata(), seeds, st.integers(3, 20), st.integers(0, 10))
def test_held_out_rows_stay_when_train_grows_and_train_is_nested(strata, seed, rows, more):
    small = split(strata, seed=seed, validation=5, test=9, rows=rows)
    large = split(strata, seed=seed, validation=5, test=9, rows=rows + more)
    other = split(strata, seed=seed, validation=5, test=9, per_class=3)
    for made in (large, other):
        np.testing.assert_array_equal(made.validation, small.validation)
        np.testing.assert_array_equal(made.test, small.test)
    assert set(small.train) <= set(large.train)
    longer = split(strata, seed=seed, validation=8, test=9, rows=rows)
    np.testing.assert_array_equal(longer.test, small.test)


@given(strata(), seeds, st.integers(1, 10))
def test_per_class_is_exact(strata, seed, per_class):
    made = split(strata, seed=seed, validation=5, test=9, per_class=per_class)
    assert np.bincount(strata[made.train]).tolist() == [per_class] * 3


@given(strata(), seeds, st.floats(0.1, 0.9))
def test_fraction_is_of_what_is_left(strata, seed, fraction):
    made = split(strata, seed=seed, validation=5, test=9, fraction=fraction)
    assert abs(len(made.train) - fraction * (len(strata) - 14)) <= 0.5 + 1e-9


def test_seeds_decide():
    strata = np.arange(300) % 3
    again = [split(strata, seed=seed, validation=20, test=50, rows=30) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(again[0].test, again[1].test)
    np.testing.assert_array_equal(again[0].train, again[1].train)
    assert set(again[0].test) != set(again[2].test)


def test_the_draw_is_the_same_on_every_machine():
    made = split(np.arange(30) % 3, seed=1, validation=3, test=3, rows=3)
    assert made.train.tolist() == [0, 4, 20]
    assert made.validation.tolist() == [9, 13, 26]
    assert made.test.tolist() == [6, 16, 29]


@st.composite
def grouped(draw):
    sizes = draw(st.lists(st.integers(1, 6), min_size=40, max_size=60))
    names = draw(st.permutations([f"g{group}" for group, size in enumerate(sizes) for _ in range(size)]))
    return names, np.asarray(draw(st.lists(st.integers(0, 1), min_size=len(names), max_size=len(names))))


@given(grouped(), seeds, st.integers(6, 12), st.integers(6, 12))
def test_no_group_is_in_two_parts(grouped_rows, seed, validation, test):
    groups, strata = grouped_rows
    made = split(strata, groups=groups, names=[], seed=seed, validation=validation, test=test, rows=5)
    inside = [{groups[row] for row in part} for part in (made.train, made.validation, made.test)]
    assert not inside[0] & inside[1] | inside[1] & inside[2] | inside[0] & inside[2]
    assert len(made.train) == 5
    # Groups hold six rows at most, so that a part lacks at most five rows.
    assert test - 5 <= len(made.test) <= test
    assert validation - 5 <= len(made.validation) <= validation
    for part in (made.validation, made.test):
        assert sum(group in {groups[row] for row in part} for group in groups) == len(part)


@given(strata(), seeds)
def test_rows_without_a_group_are_groups_of_their_own(strata, seed):
    made = split(strata, groups=[""] * len(strata), seed=seed, validation=7, test=11, per_class=2)
    assert (len(made.validation), len(made.test), len(made.train)) == (7, 11, 6)


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdefghijklmnopqrstuvwxyz"), st.sampled_from("stuvwxyz0123456789")),
        min_size=60,
        max_size=80,
    ),
    seeds,
)
def test_of_several_columns_no_value_is_in_two_parts(groups, seed):
    try:
        made = split([0] * len(groups), groups=groups, names=[], seed=seed, validation=3, test=4, rows=2)
    except InputError as error:
        assert "left after" in str(error) or "has more rows than that" in str(error)  # noqa: PT017
        return
    inside = [{value for row in part for value in groups[row]} for part in (made.train, made.validation, made.test)]
    assert sum(map(len, inside)) == len(set.union(*inside))
    assert len(made.train) == 2


def test_groups_of_one_class_are_still_in_proportion():
    strata = np.repeat(np.arange(200) % 2, 3)
    groups = [str(group) for group in np.repeat(np.arange(200), 3)]
    made = split(strata, groups=groups, names=NAMES[:2], validation=60, test=120, per_class=40)
    assert np.bincount(strata[made.test]).tolist() == [60, 60]
    assert np.bincount(strata[made.validation]).tolist() == [30, 30]


def test_quantile_bins_are_even_and_keep_equal_numbers_together():
    even = quantile_bins(np.random.default_rng(0).normal(size=1000))
    assert np.bincount(even).tolist() == [100] * 10
    many_ones = quantile_bins(np.asarray([0.1, 0.2] + [1.0] * 98, dtype=np.float32))
    assert len(set(many_ones[2:])) == 1
    assert len(quantile_bins(np.zeros(0, dtype=np.float32))) == 0


@given(st.lists(st.floats(-5, 5, width=32), min_size=30, max_size=80), seeds, st.integers(1, 10))
def test_regression_draws_from_everywhere(labels, seed, rows):
    bins = quantile_bins(np.asarray(labels, dtype=np.float32))
    made = split(bins, names=[], seed=seed, validation=10, test=10, rows=rows)
    assert [len(made.train), len(made.validation), len(made.test)] == [rows, 10, 10]


@given(strata(), seeds, st.integers(1, 60))
def test_sampling_is_exact_nested_and_in_proportion(strata, seed, count):
    drawn = sample(strata, keys(len(strata)), count, seed)
    assert len(set(drawn)) == count
    assert_in_proportion(strata[drawn], strata)
    assert set(drawn) >= set(sample(strata, keys(len(strata)), count - 1, seed))


@given(strata(), seeds)
def test_removing_a_row_hardly_changes_the_draw(strata, seed):
    """A row's rank depends on that row alone: without one row, the draw changes by a few rows, not by all."""
    whole = {str(row) for row in sample(strata, keys(len(strata)), 30, seed)}
    less = sample(strata[1:], keys(len(strata))[1:], 30, seed)
    assert len(whole & {str(row + 1) for row in less}) >= 25


STRATA = [0] * 30 + [1] * 50 + [2] * 40


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({"test": 121, "per_class": 1}, "data.target.test: got 121; the target has 120 rows"),
        (
            {"test": 100, "validation": 21, "rows": 5},
            "data.target.validation: got 21; the target has 20 rows left after test",
        ),
        (
            {"test": 40, "validation": 20, "per_class": 16},
            "data.target.per_class: got 16; the smallest class 'negative' has 15 rows left after validation and test",
        ),
        (
            {"test": 40, "validation": 20, "rows": 61},
            "data.target.rows: got 61; the target has 60 rows left after validation and test",
        ),
        (
            {"test": 40, "validation": 20, "rows": 2},
            "data.target.rows: got 2, 2 of 60 rows left after validation and test; "
            "accepted: 3 rows or more, one of each class",
        ),
        (
            {"test": 40, "validation": 20, "fraction": 0.01},
            "data.target.fraction: got 0.01, 1 of 60 rows left after validation and test; "
            "accepted: 3 rows or more, one of each class",
        ),
        ({"test": 100, "validation": 20, "rows": 1}, "data.target.rows: got 1; the target has 0 rows left after"),
        ({"test": 100, "validation": 20, "per_class": 1}, "the smallest class 'negative' has 0 rows left"),
    ],
)
def test_sizes_that_are_too_large(sizes, expected):
    assert expected in complaint(STRATA, **{"validation": 10, **sizes})


def test_regression_needs_a_row_to_learn_from():
    message = complaint(STRATA, names=[], validation=10, test=10, fraction=0.001)
    assert "got 0.001, 0 of 100 rows left after validation and test; accepted: 1 rows or more, one or more" in message


def test_a_class_that_validation_and_test_used_up():
    message = complaint([0] * 50 + [1] * 50 + [2], validation=20, test=60, rows=10)
    assert message == "data.target.rows: class 'positive' has no rows left after validation and test"


def test_groups_too_large_for_a_part():
    message = complaint([0, 1] * 50, groups=["a", "a", "b", "b"] * 25, names=NAMES[:2], validation=10, test=20, rows=4)
    assert message == "data.target.test: got 20; every group of data.target.columns.group has more rows than that"
