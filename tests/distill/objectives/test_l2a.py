"""The losses of Eqs. 2 and 3, against arithmetic done by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.distill.objectives.l2a import attention_loss, dark_loss, hidden_loss


def test_attention_by_hand():
    """Two heads, two tokens. Squared differences, head 1: .25 .25 0 0; head 2: 1 1 .04 .04. Their mean: 2.58 / 8."""
    student = torch.tensor([[[[0.5, 0.5], [0.3, 0.7]], [[1.0, 0.0], [0.6, 0.4]]]])
    teacher = torch.tensor([[[[1.0, 0.0], [0.3, 0.7]], [[0.0, 1.0], [0.4, 0.6]]]])
    loss = attention_loss(student, teacher, torch.ones(1, 2, dtype=torch.int64))
    torch.testing.assert_close(loss, torch.tensor([2.58 / 8]))


def test_attention_of_two_texts_of_two_and_one_token():
    """The second text is one token: its one entry of each head differs by 0.5 and 0.1; (0.25 + 0.01) / 2 = 0.13."""
    student, teacher = torch.zeros(2, 2, 2, 2), torch.zeros(2, 2, 2, 2)
    student[0, 0, 0, 0] = 0.4  # of 2 · 4 entries: 0.16 / 8
    student[1, :, 0, 0] = torch.tensor([0.5, 0.1])
    # Rows and columns of padding, whatever stands there.
    student[1, :, 1, :] = 7.0
    student[1, :, 0, 1] = 9.0
    loss = attention_loss(student, teacher, torch.tensor([[1, 1], [1, 0]]))
    torch.testing.assert_close(loss, torch.tensor([0.02, 0.13]))


def test_hidden_by_hand():
    """Two tokens of width 2: differences (1, −1) and (2, 0): (1 + 1 + 4 + 0) / 4 = 1.5."""
    student = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    teacher = torch.tensor([[[0.0, 3.0], [1.0, 4.0]]])
    torch.testing.assert_close(hidden_loss(student, teacher, torch.ones(1, 2)), torch.tensor([1.5]))


def test_hidden_without_padding():
    """The second token is padding: (1 + 1) / 2 = 1."""
    student = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    teacher = torch.tensor([[[0.0, 3.0], [100.0, 4.0]]])
    torch.testing.assert_close(hidden_loss(student, teacher, torch.tensor([[1, 0]])), torch.tensor([1.0]))


@given(st.integers(0, 50), st.integers(1, 5), st.integers(0, 4))
def test_padding_is_the_same_as_nothing(seed, tokens, more):
    draw = torch.Generator().manual_seed(seed)
    student, teacher = (torch.rand(1, 3, tokens + more, tokens + more, generator=draw) for _ in range(2))
    states, taught = (torch.rand(1, tokens + more, 6, generator=draw) for _ in range(2))
    mask = (torch.arange(tokens + more) < tokens).long()[None]
    cut = attention_loss(student[..., :tokens, :tokens], teacher[..., :tokens, :tokens], torch.ones(1, tokens))
    torch.testing.assert_close(attention_loss(student, teacher, mask), cut)
    cut = hidden_loss(states[:, :tokens], taught[:, :tokens], torch.ones(1, tokens))
    torch.testing.assert_close(hidden_loss(states, taught, mask), cut)


def test_padding_has_no_gradient():
    student, states = torch.rand(1, 2, 3, 3, requires_grad=True), torch.rand(1, 3, 4, requires_grad=True)
    mask = torch.tensor([[1, 1, 0]])
    loss = attention_loss(student, torch.zeros(1, 2, 3, 3), mask) + hidden_loss(states, torch.zeros(1, 3, 4), mask)
    loss.sum().backward()
    assert (student.grad[..., 2, :] == 0).all()
    assert (student.grad[..., :, 2] == 0).all()
    assert (states.grad[:, 2] == 0).all()
    assert (student.grad[..., :2, :2] != 0).all()


def test_the_cache_is_of_half_precision():
    """float16 on the teacher's side is compared in the student's float32: 0.1 in float16 is 0.0999755859375."""
    student = torch.full((1, 1, 4), 0.1)
    difference = 0.1 - 0.0999755859375
    loss = hidden_loss(student, student.half(), torch.ones(1, 1))
    torch.testing.assert_close(loss, torch.tensor([difference**2]), rtol=1e-3, atol=0)


def test_dark_by_hand():
    """Teacher (3/4, 1/4). Student (1/2, 1/2): ln 2. Student (4/5, 1/5): −3/4 ln 4/5 − 1/4 ln 1/5."""
    teacher = torch.tensor([[math.log(3), 0.0]] * 2)
    student = torch.tensor([[0.0, 0.0], [math.log(4), 0.0]])
    wanted = torch.tensor([math.log(2), -0.75 * math.log(0.8) - 0.25 * math.log(0.2)])
    torch.testing.assert_close(dark_loss(student, teacher, temperature=1.0, regression=False), wanted)


def test_dark_at_a_temperature_by_hand():
    """At T = 2 the logits (2 ln 3, 0) say (3/4, 1/4), and (2 ln 4, 0) say (4/5, 1/5)."""
    teacher, student = torch.tensor([[2 * math.log(3), 0.0]]), torch.tensor([[2 * math.log(4), 0.0]])
    wanted = torch.tensor([-0.75 * math.log(0.8) - 0.25 * math.log(0.2)])
    torch.testing.assert_close(dark_loss(student, teacher, temperature=2.0, regression=False), wanted)


logits = st.lists(st.floats(-5, 5), min_size=3, max_size=3)


@given(logits, logits, st.floats(0.5, 4))
def test_dark_is_least_where_the_student_is_the_teacher(student, teacher, temperature):
    given = {"temperature": temperature, "regression": False}
    theirs, ours = torch.tensor([teacher]), torch.tensor([student])
    entropy = dark_loss(theirs, theirs, **given)
    assert dark_loss(ours, theirs, **given) >= entropy - 1e-5
    # Logits mean the same when all are moved.
    torch.testing.assert_close(dark_loss(theirs + 3, theirs, **given), entropy, rtol=1e-4, atol=1e-4)


@given(logits, logits, st.floats(0.5, 4))
def test_the_gradient_of_dark(student, teacher, temperature):
    ours = torch.tensor([student], requires_grad=True)
    theirs = torch.tensor([teacher])
    dark_loss(ours, theirs, temperature=temperature, regression=False).sum().backward()
    wanted = ((ours / temperature).softmax(-1) - (theirs / temperature).softmax(-1)) / temperature
    torch.testing.assert_close(ours.grad, wanted.detach(), rtol=1e-4, atol=1e-6)


def test_dark_in_regression_is_the_squared_difference():
    student, teacher = torch.tensor([[1.5], [-2.0]]), torch.tensor([[1.0], [1.0]])
    loss = dark_loss(student, teacher, temperature=3.0, regression=True)
    torch.testing.assert_close(loss, torch.tensor([0.25, 9.0]))


@pytest.mark.parametrize("loss", [attention_loss, hidden_loss])
def test_equal_states_lose_nothing(loss):
    states = torch.rand(2, 3, 4, 4) if loss is attention_loss else torch.rand(2, 4, 8)
    assert loss(states, states.clone(), torch.ones(2, 4)).tolist() == [0.0, 0.0]
