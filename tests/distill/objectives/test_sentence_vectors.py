"""The loss of sentence vectors, against a computation text by text."""

import pytest
import torch

from pipeline.distill.objectives.sentence_vectors import vectors_loss


@pytest.fixture
def states():
    torch.manual_seed(0)
    return torch.randn(3, 7, 5), torch.randn(3, 7, 5)


def mean(states, tokens):
    return states[tokens].mean(0)


def test_texts_that_are_single(states):
    student, teacher = states
    lengths = [7, 4, 1]
    mask = torch.tensor([[1] * length + [0] * (7 - length) for length in lengths])
    expected = [
        1 - torch.cosine_similarity(mean(one, range(length)), mean(other, range(length)), dim=0)
        for one, other, length in zip(student, teacher, lengths, strict=True)
    ]
    losses = vectors_loss(student, teacher, mask, torch.zeros_like(mask))
    torch.testing.assert_close(losses, torch.stack(expected))


def test_pairs_count_both_texts_alike(states):
    student, teacher = states
    sides = [(range(2), range(2, 7)), (range(3), range(3, 4)), (range(1), range(1, 6))]
    mask = torch.tensor([[int(token < second.stop) for token in range(7)] for _, second in sides])
    seconds = torch.tensor([[int(token >= second.start) for token in range(7)] for _, second in sides])
    expected = [
        sum(1 - torch.cosine_similarity(mean(one, side), mean(other, side), dim=0) for side in both) / 2
        for one, other, both in zip(student, teacher, sides, strict=True)
    ]
    torch.testing.assert_close(vectors_loss(student, teacher, mask, seconds), torch.stack(expected))


def test_the_teacher_s_own_states_in_any_length_and_precision_are_no_loss(states):
    student, _ = states
    mask = torch.ones(3, 7, dtype=torch.int64)
    losses = vectors_loss(student, (3 * student).half(), mask, torch.zeros_like(mask))
    torch.testing.assert_close(losses, torch.zeros(3), atol=1e-5, rtol=0)


def test_states_that_add_up_to_more_than_half_precision_holds():
    states = torch.full((1, 128, 5), 900.0)
    mask = torch.ones(1, 128, dtype=torch.int64)
    losses = vectors_loss(states / 900, states.half(), mask, torch.zeros_like(mask))
    torch.testing.assert_close(losses, torch.zeros(1), atol=1e-5, rtol=0)


def test_gradients_are_finite_and_stop_at_padding(states):
    student, teacher = states
    student.requires_grad_()
    mask = torch.tensor([[1] * 7, [1] * 4 + [0] * 3, [1] + [0] * 6])
    vectors_loss(student, teacher, mask, torch.zeros_like(mask)).sum().backward()
    assert student.grad.isfinite().all()
    assert (student.grad[mask == 0] == 0).all()
    assert (student.grad[mask == 1] != 0).all()
