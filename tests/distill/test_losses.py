"""All objectives of a batch against models of transformers that read each of its texts alone, without padding."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import pooled_by_hand
from helpers.tiny_tokenizers import tiny_tokenizer
from torch.nn.functional import cosine_similarity, cross_entropy, kl_div, mse_loss, scaled_dot_product_attention

from pipeline.compute.batching import calls
from pipeline.distill.alignment import align
from pipeline.distill.dataset import read_dataset
from pipeline.distill.losses import DistillationLosses
from pipeline.distill.objectives import l2a
from pipeline.models.forward import forward
from pipeline.models.loading import load_classifier
from pipeline.models.student import build_student
from pipeline.params.objectives import OBJECTIVES

ALL = dict.fromkeys(OBJECTIVES, 1)
ROWS = np.array([101, 3, 50, 71])


@pytest.fixture
def imitation(make_params, uneven, augmented, cached, tiny_classifier, tokenizer):
    """A student of two layers, what it is held against, and the teacher of three: `imitation(objectives)`.

    With `words` the student has this tokenizer, in place of the teacher's.
    """

    def make(objectives, words=tokenizer, **sections):
        objectives = {**dict.fromkeys(OBJECTIVES, 0), **objectives}
        student = {"init": "fresh", "hidden": 32, "intermediate": 32, "heads": 4}
        params = make_params(student=student, objectives=objectives, **sections)
        torch.manual_seed(0)
        student = build_student(params, teacher=tiny_classifier, labels=["negative", "positive"], pairs=False)
        student.resize_token_embeddings(len(words))
        for weight in student.parameters():
            weight.data.add_(0.1 * torch.randn_like(weight))
        teacher = load_classifier(str(tiny_classifier), "teacher").eval()
        folders = {"prepared": uneven, "augmented": augmented, "cache": cached}
        dataset = read_dataset(params, **folders, tokenizer=words, teacher_tokenizer=tokenizer)
        return student, DistillationLosses(student, 32, dataset, params), teacher

    return make


def read(model, ids):
    """What one text makes of a BERT with eager attention."""
    seen = {}

    def keep(name):
        return lambda _module, _inputs, output: seen.update({name: output[0].unflatten(-1, (4, -1)).transpose(0, 1)})

    layers = model.bert.encoder.layer
    hooks = [
        getattr(layer.attention.self, name).register_forward_hook(keep((name, place)))
        for place, layer in enumerate(layers)
        for name in ("query", "key", "value")
    ]
    model.set_attn_implementation("eager")
    given = model(ids[None], output_attentions=True, output_hidden_states=True)
    for hook in hooks:
        hook.remove()
    scores = []
    for place in range(len(layers)):
        query, key = seen["query", place], seen["key", place]
        scores.append(query @ key.transpose(1, 2) / query.shape[-1] ** 0.5)
    return SimpleNamespace(
        logits=given.logits[0],
        attention=given.attentions[-1][0],
        layers=[layer[0] for layer in given.hidden_states],
        scores=scores,
        values=seen["value", len(layers) - 1],
    )


def relation(values):
    identity = torch.eye(values.shape[1]).expand(4, -1, -1)
    return scaled_dot_product_attention(values, values, identity)


def expected(ours, theirs, projection, label):
    """Two layers go with the second and third of three."""

    def divergence(one, other):
        return kl_div(one.log(), other, reduction="none").sum(-1).mean()

    our_relation, their_relation = relation(ours.values), relation(theirs.values)

    def angle(one, other):
        return 1 - cosine_similarity(one, other, dim=-1)

    return {
        "attention": mse_loss(ours.attention, theirs.attention),
        "hidden": mse_loss(ours.layers[2] @ projection.T, theirs.layers[3]),
        "dark": cross_entropy(ours.logits / 2, (theirs.logits / 2).softmax(0)),
        "hard": cross_entropy(ours.logits, label),
        "logits": mse_loss(ours.logits, theirs.logits),
        "cosine": angle(ours.layers[2], theirs.layers[3]).mean(),
        "vectors": angle(ours.layers[2].mean(0), theirs.layers[3].mean(0)),
        "patience": 2 * angle(ours.layers[1][0], theirs.layers[2][0]),
        "relations": divergence(ours.attention, theirs.attention) + divergence(our_relation, their_relation),
        "scores": mse_loss(ours.scores[0], theirs.scores[1]) + mse_loss(ours.scores[1], theirs.scores[2]),
        "layers": sum(
            mse_loss(ours.layers[one] @ projection.T, theirs.layers[other]) for one, other in ((0, 0), (1, 2), (2, 3))
        ),
    }


@torch.no_grad()
def test_every_objective_text_by_text(imitation):
    student, held, teacher = imitation({**ALL, "temperature": 2})
    held.projection.weight.add_(0.1 * torch.randn(32, 32))
    inputs = held.dataset.inputs(ROWS)
    lengths = inputs["attention_mask"].sum(1)
    assert lengths.min() < lengths.max()
    assert not torch.equal(held.dataset.labels[ROWS], held.dataset.labels[:4])
    states, losses = held(student, teacher, ROWS, inputs)
    assert set(losses) == set(OBJECTIVES)
    assert all(loss.shape == (4,) for loss in losses.values())
    for row, n in enumerate(lengths):
        ids = inputs["input_ids"][row, :n]
        ours, theirs = read(student, ids), read(teacher, ids)
        torch.testing.assert_close(states.logits[row], ours.logits)
        wanted = expected(ours, theirs, held.projection.weight, held.dataset.labels[ROWS[row]])
        for name, loss in wanted.items():
            # What the cache has of states is of half precision.
            rough = {"rtol": 5e-3, "atol": 1e-4} if name in ("attention", "hidden", "cosine", "vectors") else {}
            close = {"rtol": 1e-4, "atol": 1e-5} | rough
            torch.testing.assert_close(losses[name][row], loss, msg=lambda said, name=name: f"{name}: {said}", **close)
            assert loss > 1e-4, name


def of_units(one, numbers):
    """What a model makes of a text's units."""
    return SimpleNamespace(
        logits=one.logits,
        attention=pooled_by_hand.attention(one.attention, numbers),
        layers=[pooled_by_hand.vectors(layer, numbers) for layer in one.layers],
        scores=[pooled_by_hand.scores(layer, numbers) for layer in one.scores],
        values=pooled_by_hand.vectors(one.values, numbers),
    )


@torch.no_grad()
@pytest.mark.parametrize("family", ["roberta", "albert"])
def test_every_objective_between_two_tokenizers(imitation, family):
    """Each model reads its own tokens, the student's are cut at `max_length`, and words are compared."""
    student, held, teacher = imitation({**ALL, "temperature": 2}, words=tiny_tokenizer(family))
    held.projection.weight.add_(0.1 * torch.randn(32, 32))
    inputs, alignment = held.dataset.inputs(ROWS), held.dataset.alignment
    assert inputs["attention_mask"].sum(1).max() == 16
    _, losses = held(student, teacher, ROWS, inputs)
    for place, row in enumerate(ROWS):
        models = []
        for model, ids, side in (
            (student, held.dataset.encoded.input_ids[row], alignment.student),
            (teacher, held.dataset.teacher_encoded.input_ids[row], alignment.teacher),
        ):
            numbers = side[row].tolist()
            models.append(of_units(read(model, torch.from_numpy(ids).long()), numbers))
        wanted = expected(*models, held.projection.weight, held.dataset.labels[row])
        assert len(models[0].layers[0]) == len(models[1].layers[0])
        for name, loss in wanted.items():
            rough = {"rtol": 5e-3, "atol": 1e-4} if name in ("attention", "hidden", "cosine", "vectors") else {}
            close = {"rtol": 1e-4, "atol": 1e-5} | rough
            torch.testing.assert_close(losses[name][place], loss, msg=lambda m, name=name: f"{name}: {m}", **close)
            assert loss > 1e-4, name


@torch.no_grad()
def test_one_tokenizer_is_not_aligned(imitation, tokenizer):
    """No loss changes by a bit, and none would if the tokens were mapped to themselves."""
    student, held, teacher = imitation(ALL)
    inputs = held.dataset.inputs(ROWS)
    assert held.dataset.alignment is None
    assert held.dataset.teacher_encoded is None
    _, losses = held(student, teacher, ROWS, inputs)
    mask, cache, rows = inputs["attention_mask"], held.dataset.cache, held.dataset.cache_rows[ROWS]
    states = forward(student, inputs, ["hidden", "attention", "values", "layers", "scores"])
    assert torch.equal(losses["attention"], l2a.attention_loss(states.attention, cache.attention(rows, 4), mask))
    assert torch.equal(losses["hidden"], l2a.hidden_loss(held.projection(states.hidden), cache.hidden(rows), mask))
    texts = tokenizer.batch_decode([*held.dataset.encoded.input_ids], skip_special_tokens=True)
    student, again, teacher = imitation(ALL)
    again.dataset = replace(again.dataset, alignment=align(tokenizer, tokenizer, calls(texts, None), 16))
    _, mapped = again(student, teacher, ROWS, inputs)
    assert mapped.keys() == losses.keys()
    assert all(torch.equal(mapped[name], loss) for name, loss in losses.items())


@torch.no_grad()
@pytest.mark.parametrize("name", OBJECTIVES)
def test_each_objective_alone_is_what_it_is_among_all(imitation, name):
    """What others ask the models for changes nothing; the rest is not reckoned at all."""
    student, held, teacher = imitation({name: 1}, selector={"kind": "none"})
    _, alone = held(student, teacher if OBJECTIVES[name].live else None, ROWS, held.dataset.inputs(ROWS))
    assert alone.keys() == {name}
    student, held, teacher = imitation(ALL)
    _, among = held(student, teacher, ROWS, held.dataset.inputs(ROWS))
    # Attention is of half precision where the cache's is read for it.
    torch.testing.assert_close(alone[name], among[name], rtol=1e-3 if name == "relations" else 1e-5, atol=1e-5)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_each_objective_teaches_the_student_and_not_the_teacher(imitation, name):
    student, held, teacher = imitation({name: 1})
    student.train()
    before = {key: tensor.clone() for key, tensor in teacher.state_dict().items()}
    _, losses = held(student, teacher, ROWS, held.dataset.inputs(ROWS))
    losses[name].sum().backward()
    assert student.bert.encoder.layer[0].attention.self.value.weight.grad.abs().max() > 0
    assert all(weight.grad is None for weight in teacher.parameters())
    assert not {id(weight) for weight in held.parameters()} & {id(weight) for weight in teacher.parameters()}
    assert all(torch.equal(tensor, before[key]) for key, tensor in teacher.state_dict().items())
    assert not teacher.training
    learns = held.projection.weight.grad is not None
    assert learns == (name in ("hidden", "layers"))


@torch.no_grad()
def test_a_student_that_is_the_teacher(imitation, tiny_classifier):
    """It has nothing to learn of states or logits as long as W is the identity."""
    _, held, teacher = imitation({**ALL, "masked_lm": 0})
    student = load_classifier(str(tiny_classifier), "student").eval()
    _, losses = held(student, teacher, ROWS, held.dataset.inputs(ROWS))
    states = {name for name, objective in OBJECTIVES.items() if objective.kind == "state"}
    for name in states - {"masked_lm"} | {"logits"}:
        assert losses[name].abs().max() < 2e-3, name


@torch.no_grad()
def test_states_for_the_policy_alone(imitation):
    """Hidden states of the student are there if the policy looks at them, though no objective does."""
    student, held, _ = imitation({"dark": 1}, selector={"representations": True})
    inputs = held.dataset.inputs(ROWS)
    states, losses = held(student, None, ROWS, inputs)
    assert losses.keys() == {"dark"}
    torch.testing.assert_close(states.hidden, forward(student, inputs, ["hidden"]).hidden)


def test_the_masked_lm_head_learns_along(imitation):
    _, held, _ = imitation({"masked_lm": 1})
    names = {name.partition(".")[0] for name, _ in held.named_parameters()}
    assert names == {"projection", "masked_lm"}
    _, held, _ = imitation({"dark": 1})
    assert {name for name, _ in held.named_parameters()} == {"projection.weight"}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_in_bfloat16_the_losses_are_float32_and_near(imitation, monkeypatch, name):
    """The models' products alone are rounded: a loss reckoned in bfloat16 would have three digits at most."""
    losses = {}
    for number in ("float32", "bfloat16"):
        monkeypatch.setenv("L2A_PRECISION", number)
        student, held, teacher = imitation({name: 1})
        states, found = held(student, teacher, ROWS, held.dataset.inputs(ROWS))
        assert states.logits.dtype == found[name].dtype == torch.float32
        losses[number] = found[name].detach()
    assert not torch.equal(losses["float32"], losses["bfloat16"])
    torch.testing.assert_close(losses["bfloat16"], losses["float32"], rtol=0.15, atol=0.02)
