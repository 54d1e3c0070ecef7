"""MiniLM's loss, by hand and against torch's own KL divergence and attention."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import kl_div, scaled_dot_product_attention

from pipeline.distill.objectives.minilm import divergence_loss, relation_heads, relations_loss, split, vector_relation
from pipeline.models.forward import States

LENGTHS = [5, 2, 1]
MASK = (torch.arange(5) < torch.tensor(LENGTHS)[:, None]).long()


def test_divergence_by_hand():
    """Two tokens. The teacher's (3/4, 1/4) from (1/2, 1/2), and (1, 0) from (1/4, 3/4): the mean of the two rows."""
    student = torch.tensor([[[[0.5, 0.5], [0.25, 0.75]]]])
    teacher = torch.tensor([[[[0.75, 0.25], [1.0, 0.0]]]])
    first, second = 0.75 * math.log(1.5) + 0.25 * math.log(0.5), math.log(4)
    loss = divergence_loss(student, teacher, torch.ones(1, 2))
    torch.testing.assert_close(loss, torch.tensor([(first + second) / 2]))


def relations(draw, width, sharpness=2.0):
    """Values, and attention that is 0 at padding."""
    scores = sharpness * torch.randn(3, 4, 5, 5, generator=draw)
    attention = scores.masked_fill(MASK[:, None, None] == 0, -math.inf).softmax(-1)
    return States(attention=attention, values=torch.randn(3, 4, 5, width, generator=draw))


def related(values):
    """What a text whose queries and keys are its values pays attention to."""
    identity = torch.eye(values.shape[-2]).expand(*values.shape[:-1], -1)
    return scaled_dot_product_attention(values, values, identity)


def torch_s(student, teacher):
    """The divergence of one unpadded text by torch: summed over the columns, the mean over heads and rows."""
    return kl_div(student.log(), teacher, reduction="none").sum(-1).mean()


@given(st.integers(0, 1000))
def test_divergence_equals_torch_s_text_by_text(seed):
    draw = torch.Generator().manual_seed(seed)
    student, teacher = relations(draw, 6).attention, relations(draw, 6).attention
    loss = divergence_loss(student, teacher, MASK)
    for row, n in enumerate(LENGTHS):
        torch.testing.assert_close(loss[row], torch_s(student[row, :, :n, :n], teacher[row, :, :n, :n]))


def test_vector_relations_by_hand():
    """Heads of width 4: (2, 0, 0, 0) and (0, 2, 0, 0) are related by 4 / √4 to themselves and by 0 to each other."""
    values = torch.zeros(1, 1, 3, 4)
    values[0, 0, 0, 0] = values[0, 0, 1, 1] = 2
    values[0, 0, 2] = 9.0
    found = vector_relation(values, torch.tensor([[1, 1, 0]]))
    itself = math.exp(2) / (math.exp(2) + 1)
    wanted = torch.tensor([[itself, 1 - itself, 0], [1 - itself, itself, 0]])
    torch.testing.assert_close(found[0, 0, :2], wanted)


@given(st.integers(0, 1000))
def test_both_relations_of_heads_of_different_widths(seed):
    draw = torch.Generator().manual_seed(seed)
    student, teacher = relations(draw, 6), relations(draw, 16)
    loss = relations_loss(student, teacher, MASK)
    for row, n in enumerate(LENGTHS):
        ours, theirs = (related(states.values[row, :, :n]) for states in (student, teacher))
        attention = torch_s(student.attention[row, :, :n, :n], teacher.attention[row, :, :n, :n])
        torch.testing.assert_close(loss[row], attention + torch_s(ours, theirs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("student", "teacher", "heads"),
    [((12, 32), (16, 64), 8), ((12, 64), (12, 32), 12), ((4, 8), (6, 5), 2), ((1, 7), (3, 5), 1)],
)
def test_the_heads_that_suit_both(student, teacher, heads):
    """Widths 384 and 1024 have 8 in common of what is at most 12, widths 32 and 30 two of what is at most 4."""
    shapes = [(1, number, 2, width) for number, width in (student, teacher)]
    assert relation_heads(*(torch.empty(shape) for shape in shapes)) == heads


def test_vectors_split_into_other_heads():
    """Three heads of two numbers become two of three."""
    vectors = torch.arange(6).reshape(1, 3, 1, 2)
    assert split(vectors, 2).tolist() == [[[[0, 1, 2]], [[3, 4, 5]]]]
    assert torch.equal(split(vectors, 3), vectors)


def in_heads(states, name, row, n, heads):
    """The vectors of one text, joined and cut into other heads by hand."""
    vectors = getattr(states, name)[row, :, :n]
    joined = torch.cat(list(vectors), dim=-1)
    return torch.stack(joined.chunk(heads, dim=-1))


@given(st.integers(0, 1000))
def test_relations_without_equal_heads(seed):
    """Of queries, keys and values, in two heads: widths 8 and 12, which 2 heads and 3 have, have no more in common."""
    draw = torch.Generator().manual_seed(seed)

    def vectors(heads, width):
        return [torch.randn(3, heads, 5, width, generator=draw) for _ in range(3)]

    names = ("queries", "keys", "values")
    student = States(attention=torch.rand(3, 2, 5, 5), **dict(zip(names, vectors(2, 4), strict=True)))
    teacher = States(attention=torch.rand(3, 3, 5, 5), **dict(zip(names, vectors(3, 4), strict=True)))
    loss = relations_loss(student, teacher, MASK)
    for row, n in enumerate(LENGTHS):
        expected = 0
        for name in names:
            ours, theirs = (related(in_heads(states, name, row, n, 2)) for states in (student, teacher))
            expected += torch_s(ours, theirs)
        torch.testing.assert_close(loss[row], expected, rtol=1e-4, atol=1e-5)


@given(st.integers(0, 1000))
def test_what_stands_at_padding_does_not_matter(seed):
    draw = torch.Generator().manual_seed(seed)
    student, teacher = relations(draw, 6), relations(draw, 6)
    plain = relations_loss(student, teacher, MASK)
    for states, said in ((student, 0.7), (teacher, 0.2)):
        states.attention[(MASK == 0)[:, None].expand(-1, 4, -1)] = 0.3
        states.attention.transpose(2, 3)[(MASK == 0)[:, None].expand(-1, 4, -1)] = said
        states.values[(MASK == 0)[:, None].expand(-1, 4, -1)] = 50.0
    torch.testing.assert_close(relations_loss(student, teacher, MASK), plain)


@pytest.mark.parametrize("half", [False, True])
def test_the_same_relations_lose_nothing_and_others_something(half):
    draw = torch.Generator().manual_seed(0)
    student, other = relations(draw, 6), relations(draw, 6)
    same = States(attention=student.attention.half() if half else student.attention, values=student.values)
    assert relations_loss(student, same, MASK).abs().max() < 1e-3
    # A text of one token has one relation, to itself.
    assert (relations_loss(student, other, MASK) > 0.05).tolist() == [True, True, False]


def test_zeros_are_no_infinite_loss():
    """A probability of the student's that is 0 where the teacher's is not, or the other way round, or both."""
    student = torch.tensor([[[[1.0, 0.0], [0.5, 0.5]]]], requires_grad=True)
    loss = divergence_loss(student, torch.tensor([[[[0.5, 0.5], [1.0, 0.0]]]]), torch.ones(1, 2))
    same = divergence_loss(student, torch.tensor([[[[1.0, 0.0], [0.5, 0.5]]]]), torch.ones(1, 2))
    (loss + same).sum().backward()
    assert loss.item() > 1
    assert same.item() == 0
    assert torch.isfinite(student.grad).all()
