"""Several labels of one text: the majority or the mean, against a count by hand."""

import numpy as np

from pipeline.data.raters import means, outvoted, spread

ROWS = np.array([4, 7, 4, 4, 7, 0])


def test_the_majority_wins_and_a_tie_has_none():
    lost, tied = outvoted(ROWS, ["x", "x", "y", "y", "z", "x"])
    assert lost.tolist() == [True, False, False, False, False, False]
    assert tied.tolist() == [False, True, False, False, True, False]


def test_numbers_have_their_mean_and_the_first_row_stays():
    averaged, later = means(ROWS, ["1", "0.5", "2", "6", "0.5", "7"])
    assert averaged == ["3", "0.5", "2", "6", "0.5", "7"]
    assert later.tolist() == [False, False, True, True, False, False]
    assert spread(["1", "-2.5", "3"]) == 5.5


def test_what_is_no_number_stays_for_the_error():
    averaged, later = means(ROWS, ["1", "x", "high", "6", "y", "7"])
    assert averaged == ["1", "x", "high", "6", "y", "7"]
    assert not later.any()
    assert spread(["1", "high"]) == float("inf")
