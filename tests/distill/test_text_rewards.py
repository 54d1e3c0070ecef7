"""What a text is worth: against the gradients of each text, and against the progress of a step."""

import copy
import itertools
from types import SimpleNamespace

import pytest
import torch
from torch.nn.functional import cross_entropy

from pipeline.distill.text_rewards import (
    STEP,
    _slices,
    moved_logits,
    norm,
    output_weights,
    prior_logits,
    text_rewards,
    validation_gradient,
)
from pipeline.evaluation.validation import Validation
from pipeline.models.bilstm import BiLSTMConfig, BiLSTMForSequenceClassification
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


SAME = torch.tensor([0.4, -0.1])


def loss_on(validation, before, after):
    """The loss on D^v of answers that are alike but for what has changed between two students."""
    changes, labels = [], []
    for rows, batch in zip(validation.padded.rows, validation.padded.batches, strict=True):
        with torch.no_grad():
            changes.append(copy.deepcopy(after).eval()(**batch).logits - copy.deepcopy(before).eval()(**batch).logits)
        labels.append(torch.from_numpy(validation.texts.labels[rows]))
    answers, labels = torch.cat(changes), torch.cat(labels)
    if answers.shape[1] == 1:
        return (answers[:, 0] + labels.mean() - labels).square().mean()
    counts = torch.tensor([(labels == label).sum() + 1 for label in range(answers.shape[1])])
    return cross_entropy(answers + (counts / counts.sum()).log(), labels)


def values(student, inputs, loss, gradient, same=SAME):
    return text_rewards(moved_logits(student, inputs, gradient), loss, gradient, same)


def by_hand(student, inputs, loss, gradient, same=SAME):
    """Each logit's gradient times that on D^v, one backward pass each; less the mean over texts; by the chain rule."""
    model = copy.deepcopy(student).eval()
    logits = model(**inputs).logits
    along = torch.zeros_like(logits)
    for text, label in itertools.product(*map(range, logits.shape)):
        parts = torch.autograd.grad(logits[text, label], [*model.classifier.parameters()], retain_graph=True)
        along[text, label] = sum((a * b).sum() for a, b in zip(parts, gradient, strict=True))
    answers = same.expand_as(logits).clone().requires_grad_()
    (by_logits,) = torch.autograd.grad(loss(answers).sum(), answers)
    return (by_logits * (along - along.mean(0))).sum(1)


def test_values_are_products_of_gradients(student, inputs, validation):
    gradient, score = validation_gradient(student, validation, prior_logits(validation.texts))
    found = values(student, inputs, teach, gradient)
    wanted = by_hand(student, inputs, teach, gradient)
    torch.testing.assert_close(found, wanted, rtol=0.01, atol=1e-3 * found.abs().max().item())
    assert found.max() > 0 > found.min()
    assert score == validation.score(student)


def test_the_gradient_is_that_of_the_mean_loss(student, validation, monkeypatch):
    """Of texts in several parts: a small step along it changes the loss on D^v by its squared norm."""
    monkeypatch.setattr("pipeline.distill.text_rewards.TOKENS", 64)
    assert len([*_slices(validation.padded)]) > 2
    gradient, _ = validation_gradient(student, validation, prior_logits(validation.texts))
    norm = sum(part.square().sum() for part in gradient).item()
    moved = []
    for step in (1e-3, -1e-3):
        model = copy.deepcopy(student)
        with torch.no_grad():
            for weight, part in zip(model.classifier.parameters(), gradient, strict=True):
                weight += step * part / norm**0.5
        moved.append(loss_on(validation, student, model))
    assert (moved[0] - moved[1]).item() / 2e-3 == pytest.approx(norm**0.5, rel=0.02)


@pytest.mark.parametrize("seed", range(3))
def test_values_foretell_the_progress_of_a_step(student, inputs, validation, seed):
    """A step of the head down losses that move no logit of all alike lowers the loss on D^v by the sum of values."""
    weights = torch.randn(5, 2, generator=torch.Generator().manual_seed(seed))
    weights -= weights.mean(0)

    def loss(logits):
        return (weights * logits).sum(1)

    gradient, _ = validation_gradient(student, validation, prior_logits(validation.texts))
    worth = values(student, inputs, loss, gradient).sum().item()
    model = copy.deepcopy(student).eval()
    loss(model(**inputs).logits).sum().backward()
    head = [*model.classifier.parameters()]
    step = 0.01 / sum(weight.grad.square().sum() for weight in head) ** 0.5
    with torch.no_grad():
        for weight in head:
            weight -= step * weight.grad
    progress = (loss_on(validation, student, student) - loss_on(validation, student, model)).item()
    assert progress == pytest.approx(step.item() * worth, rel=0.1, abs=1e-5)


def test_the_same_answer_has_the_shares_of_the_classes():
    """Each counts as one text more than it has."""
    labels = torch.tensor([0] * 30 + [2] * 10)
    same = prior_logits(SimpleNamespace(names=["a", "b", "c"], labels=labels.numpy()))
    assert same.exp().tolist() == pytest.approx([31 / 43, 1 / 43, 11 / 43])


def test_an_unsure_teacher_does_no_harm(student, inputs, validation):
    """Of answers with the same classes the surer are worth more, and one that says nothing is worth nothing."""
    gradient, _ = validation_gradient(student, validation, prior_logits(validation.texts))
    moved = moved_logits(student, inputs, gradient)
    same = prior_logits(validation.texts)

    def taught(sureness):
        teacher = same + sureness * torch.tensor([[1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]])
        return text_rewards(
            moved, lambda logits: cross_entropy(logits, teacher.softmax(1).to(logits), reduction="none"), gradient, same
        )

    unsure, sure = taught(0.1), taught(1.0)
    assert taught(0.0).abs().max() < 1e-4 * sure.abs().max()
    assert unsure.sign().tolist() == sure.sign().tolist()
    assert (unsure.abs() < sure.abs()).all()


def test_what_changes_all_answers_alike_is_worth_nothing(student, inputs):
    """A gradient of the last bias alone moves the logits of all texts by the same."""
    gradient = [torch.zeros_like(weight) for weight in student.classifier.parameters()]
    gradient[-1] += torch.tensor([0.3, -0.5])
    assert gradient[-1].shape == (2,)
    moved = moved_logits(student, inputs, gradient)
    assert (moved[:, 0] - moved[:, 1]).abs().min() > 0
    torch.testing.assert_close(text_rewards(moved, teach, gradient, SAME), torch.zeros(5), rtol=0, atol=1e-5)


def test_the_output_layer_is_moved(student):
    assert [id(weight) for weight in output_weights(student)] == [
        id(weight) for weight in student.classifier.parameters()
    ]
    bilstm = BiLSTMForSequenceClassification(BiLSTMConfig(vocab_size=9, embedding_size=4, lstm_size=3, hidden_size=5))
    assert [id(weight) for weight in output_weights(bilstm)] == [
        id(weight) for weight in bilstm.classifier.parameters()
    ]


def test_without_a_linear_output_layer_all_is_moved(student):
    student.classifier = WithoutLinearLayer(student.classifier)
    student.bert.embeddings.requires_grad_(False)
    trained = [*student.bert.encoder.parameters(), *student.bert.pooler.parameters(), *student.classifier.parameters()]
    assert [id(weight) for weight in output_weights(student)] == [id(weight) for weight in trained]


def test_the_gradient_without_a_linear_output_layer_is_by_all_weights(student, validation):
    student.classifier = WithoutLinearLayer(student.classifier)
    gradient, _ = validation_gradient(student, validation, prior_logits(validation.texts))
    student.eval()
    loss = torch.zeros(())
    for rows, batch in zip(validation.padded.rows, validation.padded.batches, strict=True):
        labels, logits = torch.from_numpy(validation.texts.labels[rows]), student(**batch).logits
        answers = prior_logits(validation.texts) + logits - logits.detach()
        loss = loss + cross_entropy(answers, labels, reduction="sum") / len(validation.texts.labels)
    loss.backward()
    for found, weight in zip(gradient, student.parameters(), strict=True):
        torch.testing.assert_close(found, weight.grad)


def test_in_bfloat16_the_encoder_alone_is_rounded(student, inputs, validation, monkeypatch):
    """The changes of logits are small: of those of a head in bfloat16 no digit would be right."""
    changes = {}
    for number in ("float32", "bfloat16"):
        monkeypatch.setenv("L2A_PRECISION", number)
        gradient, _ = validation_gradient(student, validation, prior_logits(validation.texts))
        moved = moved_logits(student, inputs, gradient)
        changes[number] = (moved[:, 0] - moved[:, 1]) / norm(gradient)
    assert not torch.equal(changes["float32"], changes["bfloat16"])
    largest = changes["float32"].abs().max().item()
    torch.testing.assert_close(changes["bfloat16"], changes["float32"], rtol=0.02, atol=0.02 * largest)


def test_the_encoder_reads_the_texts_once(student, inputs, validation):
    gradient, _ = validation_gradient(student, validation, prior_logits(validation.texts))
    wanted = []
    for distance in (STEP, -STEP):
        model = copy.deepcopy(student).eval()
        with torch.no_grad():
            for weight, part in zip(model.classifier.parameters(), gradient, strict=True):
                weight += distance * part / norm(gradient)
            wanted.append(model(**inputs).logits)
    calls = []
    student.bert.embeddings.register_forward_hook(lambda *_: calls.append(1))
    torch.testing.assert_close(moved_logits(student, inputs, gradient), torch.stack(wanted, dim=1))
    assert calls == [1]
    student(**inputs)
    assert calls == [1, 1]


def test_with_all_weights_moved_the_encoder_reads_them_twice(student, inputs):
    student.classifier = WithoutLinearLayer(student.classifier)
    gradient = [torch.ones_like(weight) for weight in output_weights(student)]
    calls = []
    student.bert.embeddings.register_forward_hook(lambda *_: calls.append(1))
    moved_logits(student, inputs, gradient)
    assert calls == [1, 1]


class WithoutLinearLayer(torch.nn.Module):
    """A linear layer in disguise."""

    def __init__(self, layer):
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, states):
        return torch.nn.functional.linear(states, self.weight, self.bias)


def test_the_student_is_left_as_it_was(student, inputs, validation):
    before = {name: weight.clone() for name, weight in student.state_dict().items()}
    torch.manual_seed(3)
    drawn = torch.get_rng_state()
    gradient, _ = validation_gradient(student, validation, prior_logits(validation.texts))
    moved_logits(student, inputs, gradient)
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
    gradient, score = validation_gradient(one, validation, prior_logits(validation.texts))
    assert score == validation.score(one)
    assert prior_logits(texts).tolist() == pytest.approx([-1 / 6])

    def squares(logits):
        return (logits[:, 0] - torch.tensor([1.0, 0.0, 2.0, 0.0, -1.0])).square()

    same = torch.tensor([0.7])
    found = values(one, inputs, squares, gradient, same)
    wanted = by_hand(one, inputs, squares, gradient, same)
    torch.testing.assert_close(found, wanted, rtol=0.02, atol=1e-3 * found.abs().max().item())


def load_classifier_of_numbers(student):
    """The same encoder with one output."""
    config = copy.deepcopy(student.config)
    config.num_labels = 1
    torch.manual_seed(1)
    model = type(student)(config)
    model.bert.load_state_dict(student.bert.state_dict())
    return model


def test_without_a_gradient_every_text_is_worth_nothing(student, inputs):
    gradient = [torch.zeros_like(weight) for weight in student.classifier.parameters()]
    assert values(student, inputs, teach, gradient).tolist() == [0.0] * 5
