"""BiLSTM_SOFT's loss, by hand."""

import torch

from pipeline.distill.objectives.bilstm_soft import logits_loss


def test_logits_by_hand():
    """Differences (1, −3) and (0, 0.5): (1 + 9) / 2 and 0.25 / 2."""
    student = torch.tensor([[2.0, -1.0], [4.0, 0.5]])
    teacher = torch.tensor([[1.0, 2.0], [4.0, 0.0]])
    torch.testing.assert_close(logits_loss(student, teacher), torch.tensor([5.0, 0.125]))


def test_of_numbers_the_squared_difference():
    loss = logits_loss(torch.tensor([[1.5], [-2.0]]), torch.tensor([[1.0], [1.0]]))
    torch.testing.assert_close(loss, torch.tensor([0.25, 9.0]))


def test_logits_that_say_the_same_are_not_the_same():
    """Unlike the soft cross-entropy: moved by 2, they are 4 apart."""
    teacher = torch.tensor([[1.0, 2.0, 3.0]])
    torch.testing.assert_close(logits_loss(teacher + 2, teacher), torch.tensor([4.0]))
