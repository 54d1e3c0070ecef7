"""What a text is worth: against the gradients of each text, and against the progress of a step."""

import copy
from types import SimpleNamespace

import pytest
import torch
from torch.nn.functional import cross_entropy

from pipeline.distill.values import text_values, validation_gradient
from pipeline.evaluation.validation import Validation
from pipeline.models.loading import load_classifier

TEXTS = ["good film", "bad", "a dull and long film", "quite good", "not so bad a story"]


@pytest.fixture
def student(tiny_classifier):
    """A classifier whose weights are large enough for its answers to differ."""
    model = load_classifier(str(tiny_classifier), "student")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=generator)
    return model.train()


@pytest.fixture
def inputs(tokenizer):
    return dict(tokenizer(TEXTS, padding=True, return_tensors="pt"))


@pytest.fixture
def validation(uneven, tokenizer):
    from pipeline.data.texts import read_texts

    return Validation(read_texts(uneven / "validation.parquet"), tokenizer, 16)


def teach(logits):
    return cross_entropy(logits, torch.tensor([1, 0, 0, 1, 1]), reduction="none")


def loss_on(validation, student):
    return -validation.score(student).minus_loss


def by_hand(student, inputs, loss, gradient):
    """The dot product of the gradient of each text's loss with that on D^v, one backward pass a text."""
    model = copy.deepcopy(student).eval()
    losses = loss(model(**inputs).logits)
    found = []
    for text in losses:
        parts = torch.autograd.grad(text, list(model.parameters()), retain_graph=True, allow_unused=True)
        found.append(sum((a * b).sum() for a, b in zip(parts, gradient, strict=True) if a is not None))
    return torch.stack(found)


def test_values_are_products_of_gradients(student, inputs, validation):
    gradient, score = validation_gradient(student, validation)
    found = text_values(student, inputs, teach, gradient)
    torch.testing.assert_close(
        found, by_hand(student, inputs, teach, gradient), rtol=0.01, atol=1e-3 * found.abs().max()
    )
    assert found.max() > 0 > found.min()
    assert score == validation.score(student)


def test_the_gradient_is_that_of_the_mean_loss(student, validation):
    """Of texts in several batches: a small step along it changes the loss on D^v by its squared norm."""
    assert len(validation.prepared.batches) >= 1
    gradient, _ = validation_gradient(student, validation)
    norm = sum(part.square().sum() for part in gradient).item()
    moved = []
    for step in (1e-3, -1e-3):
        model = copy.deepcopy(student)
        with torch.no_grad():
            for weight, part in zip(model.parameters(), gradient, strict=True):
                weight += step * part / norm**0.5
        moved.append(loss_on(validation, model))
    assert (moved[0] - moved[1]) / 2e-3 == pytest.approx(norm**0.5, rel=0.02)


def test_values_foretell_the_progress_of_a_step(student, inputs, validation):
    """A step of gradient descent on some of the texts lowers the loss on D^v by its length times the sum of values."""
    gradient, _ = validation_gradient(student, validation)
    values = text_values(student, inputs, teach, gradient)
    for kept in ([0, 2], [1], [0, 1, 2, 3, 4]):
        model = copy.deepcopy(student).eval()
        step = 1e-3 / (1 + values[kept].abs().sum().item())
        teach(model(**inputs).logits)[kept].sum().backward()
        with torch.no_grad():
            for weight in model.parameters():
                if weight.grad is not None:
                    weight -= step * weight.grad
        progress = loss_on(validation, student) - loss_on(validation, model)
        assert progress == pytest.approx(step * values[kept].sum().item(), rel=0.1, abs=2e-6)


def test_the_student_is_left_as_it_was(student, inputs, validation):
    before = {name: weight.clone() for name, weight in student.state_dict().items()}
    torch.manual_seed(3)
    drawn = torch.get_rng_state()
    gradient, _ = validation_gradient(student, validation)
    text_values(student, inputs, teach, gradient)
    assert all(torch.equal(weight, before[name]) for name, weight in student.state_dict().items())
    assert all(weight.grad is None for weight in student.parameters())
    assert student.training
    assert torch.equal(torch.get_rng_state(), drawn)


def test_regression(student, tokenizer, inputs):
    """The loss on D^v is the mean squared error of the output."""
    one = load_classifier_of_numbers(student)
    numbers = torch.tensor([0.5, -2.0, 1.0]).numpy()
    texts = SimpleNamespace(texts=TEXTS[:3], pairs=None, labels=numbers, names=[])
    validation = Validation(texts, tokenizer, 16)
    gradient, score = validation_gradient(one, validation)
    assert -score.minus_loss == pytest.approx(loss_on(validation, one))

    def squares(logits):
        return (logits[:, 0] - torch.tensor([1.0, 0.0, 2.0, 0.0, -1.0])).square()

    found = text_values(one, inputs, squares, gradient)
    torch.testing.assert_close(found, by_hand(one, inputs, squares, gradient), rtol=0.02, atol=1e-3 * found.abs().max())


def load_classifier_of_numbers(student):
    """The same encoder with one output."""
    config = copy.deepcopy(student.config)
    config.num_labels = 1
    torch.manual_seed(1)
    model = type(student)(config)
    model.bert.load_state_dict(student.bert.state_dict())
    return model


def test_without_a_gradient_every_text_is_worth_nothing(student, inputs):
    gradient = [torch.zeros_like(weight) for weight in student.parameters()]
    assert text_values(student, inputs, teach, gradient).tolist() == [0.0] * 5
