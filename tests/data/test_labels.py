"""Classes in order and finite numbers, and the row named if a label is neither."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.labels import class_indices, class_names, numbers
from pipeline.errors import InputError

COLUMN = "t.csv, column 'label'"


def test_classes_are_sorted_unless_given():
    assert class_names(["b", "a", "b"], None, COLUMN) == ["a", "b"]
    assert class_names(["b", "a", "b"], ["b", "a"], COLUMN) == ["b", "a"]
    assert class_names(["<18", ">65", "<3 & more"], None, COLUMN) == ["<18", "<3 & more", ">65"]


@pytest.mark.parametrize(
    ("labels", "order", "line"),
    [
        (["no", "no"], None, f"{COLUMN}: every row is no; accepted: two classes or more"),
        (["no", "yes"], ["no", "maybe"], "data.labels: no row of the target has 'maybe'; found: no, yes"),
        (["no", "yes"], ["no", "yess"], "data.labels: no row of the target has 'yess'; found: no, yes; nearest: yes"),
        (["no", "yes"], ["no", "yes", "no"], "data.labels: duplicate class 'no'"),
        (
            ["no", "</script><b>"],
            None,
            f"{COLUMN}: class '</script><b>'; accepted: names without </ or <! (rename it with data.target.labels)",
        ),
    ],
)
def test_classes_that_do_not_fit(labels, order, line):
    with pytest.raises(InputError) as caught:
        class_names(labels, order, COLUMN)
    assert str(caught.value) == line


@given(st.lists(st.sampled_from("abc")))
def test_indices_name_the_classes(labels):
    indices = class_indices(labels, range(len(labels)), ["c", "a", "b"], COLUMN, "data.labels")
    assert indices.dtype == np.int64
    assert ["cab"[index] for index in indices] == labels


def test_an_unknown_class_is_named_with_its_row_and_cut():
    with pytest.raises(InputError) as caught:
        class_indices(["a", "word " * 10_000], [7, 9], ["a", "b"], COLUMN, "data.labels")
    line = str(caught.value)
    assert line.startswith(f"{COLUMN}, row 9: label 'word word")
    assert line.endswith("...' is not a class of the target; accepted: a, b (see data.labels)")
    assert len(line) < 200


@given(st.lists(st.floats(-(2.0**100), 2.0**100, width=32)))
def test_numbers_are_read_as_they_are_written(values):
    read = numbers([str(value) for value in values], range(len(values)), COLUMN)
    assert read.dtype == np.float32
    assert read.tolist() == values


@pytest.mark.parametrize("label", ["high", "nan", "inf", "-inf", "1e60", "", "1,5", "word " * 10_000])
def test_what_is_no_finite_number(label):
    with pytest.raises(InputError) as caught:
        numbers(["0.5", label], [3, 8], COLUMN)
    line = str(caught.value)
    assert line.startswith(f"{COLUMN}, row 8: got '{label[:10]}")
    assert line.endswith("; accepted: a finite number (task: regression)")
    assert len(line) < 200
