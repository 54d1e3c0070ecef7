"""Which layer of the teacher teaches which of the student's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.models.layer_map import layer_map


@pytest.mark.parametrize(
    ("student", "teacher", "layers"),
    [
        (6, 12, [2, 4, 6, 8, 10, 12]),
        (4, 12, [3, 6, 9, 12]),
        (3, 12, [4, 8, 12]),
        (3, 6, [2, 4, 6]),
        (1, 12, [12]),
        (3, 3, [1, 2, 3]),
        # Of five for two, 2.5 is rounded up; of seven for three, 2⅓ and 4⅔ are.
        (2, 5, [3, 5]),
        (3, 7, [3, 5, 7]),
    ],
)
def test_layers_of_known_models(student, teacher, layers):
    assert layer_map(student, teacher) == layers


@given(st.integers(1, 48), st.integers(0, 48))
def test_layers_are_even_and_end_with_the_last(student, more):
    teacher = student + more
    layers = layer_map(student, teacher)
    assert len(layers) == student
    assert layers[-1] == teacher
    gaps = [after - before for before, after in zip([0, *layers], layers, strict=False)]
    assert min(gaps) >= 1
    assert max(gaps) - min(gaps) <= 1
