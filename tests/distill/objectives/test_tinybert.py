"""TinyBERT's losses, by hand and against torch's mean squared error on texts without padding."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import mse_loss

from pipeline.distill.objectives.tinybert import layers_loss, scores_loss

LENGTHS = [4, 2, 1]
MASK = (torch.arange(4) < torch.tensor(LENGTHS)[:, None]).long()


def test_scores_of_mapped_layers_by_hand():
    """Each of the teacher's twelve layers is its number throughout; four layers go with 3, 6, 9, 12.

    The first text's agree but for the third, which is 2 too high at every score; the second's are all 1 too low.
    """
    teacher = [torch.full((2, 2, 4, 4), float(layer)) for layer in range(1, 13)]
    student = [torch.full((2, 2, 4, 4), float(layer)) for layer in (3, 6, 9, 12)]
    student[2][0] += 2
    for scores in student:
        scores[1] -= 1
    torch.testing.assert_close(scores_loss(student, teacher, MASK[:2]), torch.tensor([4.0, 4.0]))


def test_embeddings_and_mapped_layers_by_hand():
    """Of two layers for four: embeddings are 1 apart, the first layer 2 from the second, the last 3 from the last."""
    teacher = [torch.full((1, 4, 6), value) for value in (0.0, 10.0, 20.0, 30.0, 40.0)]
    student = [torch.full((1, 4, 6), value) for value in (1.0, 22.0, 37.0)]
    loss = layers_loss(student, teacher, MASK[:1], lambda states: states)
    torch.testing.assert_close(loss, torch.tensor([1.0 + 4.0 + 9.0]))


@given(st.integers(0, 1000))
def test_scores_equal_torch_s_text_by_text(seed):
    draw = torch.Generator().manual_seed(seed)
    student, teacher = ([torch.randn(3, 2, 4, 4, generator=draw) for _ in range(n)] for n in (2, 6))
    loss = scores_loss(student, teacher, MASK)
    for row, n in enumerate(LENGTHS):
        ours, theirs = ([scores[row, :, :n, :n] for scores in whole] for whole in (student, teacher))
        torch.testing.assert_close(loss[row], mse_loss(ours[0], theirs[2]) + mse_loss(ours[1], theirs[5]))


@given(st.integers(0, 1000))
def test_layers_equal_torch_s_text_by_text(seed):
    draw = torch.Generator().manual_seed(seed)
    student = [torch.randn(3, 4, 5, generator=draw) for _ in range(3)]
    teacher = [torch.randn(3, 4, 8, generator=draw) for _ in range(7)]
    wide = torch.randn(8, 5, generator=draw)
    loss = layers_loss(student, teacher, MASK, lambda states: states @ wide.T)
    for row, n in enumerate(LENGTHS):
        wanted = sum(mse_loss(student[layer][row, :n] @ wide.T, teacher[3 * layer][row, :n]) for layer in range(3))
        torch.testing.assert_close(loss[row], wanted, rtol=1e-4, atol=1e-5)


def test_padding_has_no_gradient_and_what_is_projected_has():
    scores = torch.rand(3, 2, 4, 4, requires_grad=True)
    states = torch.rand(3, 4, 5, requires_grad=True)
    projection = torch.nn.Linear(5, 8, bias=False)
    loss = scores_loss([scores], [torch.zeros(3, 2, 4, 4)] * 2, MASK)
    loss = loss + layers_loss([states, states], [torch.zeros(3, 4, 8)] * 3, MASK, projection)
    loss.sum().backward()
    real = MASK.bool()
    assert (states.grad[~real] == 0).all()
    assert (states.grad[real] != 0).any(-1).all()
    entries = (real[:, None, :, None] & real[:, None, None, :]).expand(-1, 2, -1, -1)
    assert ((scores.grad != 0) == entries).all()
    assert (projection.weight.grad != 0).all()
