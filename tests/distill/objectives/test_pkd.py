"""PKD's losses, by hand and against SciPy."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cosine

from pipeline.distill.objectives.pkd import hard_loss, patience_loss


def test_hard_by_hand():
    """Probabilities (3/4, 1/4), of which the first or the second is right."""
    student = torch.tensor([[math.log(3), 0.0]] * 2)
    loss = hard_loss(student, torch.tensor([0, 1]), regression=False)
    torch.testing.assert_close(loss, -torch.tensor([0.75, 0.25]).log())


def test_hard_in_regression_is_the_squared_difference():
    loss = hard_loss(torch.tensor([[1.5], [-2.0]]), torch.tensor([1.0, 1.0]), regression=True)
    torch.testing.assert_close(loss, torch.tensor([0.25, 9.0]))


def states(layers, tokens=3, width=2):
    """Embeddings' output and layers of one text, all zeros but [CLS], which is (1, 0) of each."""
    made = [torch.zeros(1, tokens, width) for _ in range(layers + 1)]
    for state in made:
        state[:, 0, 0] = 1
    return made


def test_patience_by_hand():
    """Layers 1 and 2 of three go with 2 and 4 of six: (0.6, 0.8) to (0, 1) is 0.36 + 0.04, (1, 0) to (−1, 0) is 4."""
    student, teacher = states(3), states(6)
    student[1][0, 0], teacher[2][0, 0] = torch.tensor([3.0, 4.0]), torch.tensor([0.0, 2.0])
    student[2][0, 0], teacher[4][0, 0] = torch.tensor([5.0, 0.0]), torch.tensor([-0.1, 0.0])
    torch.testing.assert_close(patience_loss(student, teacher), torch.tensor([(0.4 + 4) / 2]))


@pytest.mark.parametrize("who", ["student", "teacher"])
def test_what_patience_does_not_look_at(who):
    """Embeddings, last layers, layers in between, and all tokens but the first."""
    student, teacher = states(3), states(6)
    ours = {"student": student, "teacher": teacher}[who]
    looked_at = {"student": (1, 2), "teacher": (2, 4)}[who]
    for layer, state in enumerate(ours):
        state[:, 0 if layer not in looked_at else slice(1, None)] = 7.0
    assert patience_loss(student, teacher).item() == 0
    ours[looked_at[1]][:, 0] = 7.0
    assert patience_loss(student, teacher).item() > 0.1


@given(st.integers(0, 1000))
def test_patience_is_twice_the_cosine_distance(seed):
    """Six layers of twelve: the first five go with 2, 4, 6, 8, 10."""
    draw = torch.Generator().manual_seed(seed)
    student, teacher = ([torch.randn(2, 4, 8, generator=draw) for _ in range(n + 1)] for n in (6, 12))
    wanted = [
        sum(2 * cosine(student[layer][text, 0], teacher[2 * layer][text, 0]) for layer in range(1, 6)) / 5
        for text in range(2)
    ]
    torch.testing.assert_close(patience_loss(student, teacher), torch.tensor(wanted), rtol=1e-4, atol=1e-5)


def test_a_student_of_one_layer_has_nothing_to_be_patient_with():
    assert patience_loss(states(1), states(6)).tolist() == [0.0]
