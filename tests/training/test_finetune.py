"""Fine-tuning learns, keeps its best epoch and is reproducible with a seed."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.data.texts import read_texts
from pipeline.errors import InputError
from pipeline.evaluation.predicting import predict
from pipeline.evaluation.scoring import decide, loss, scores
from pipeline.models.frozen import freeze
from pipeline.models.label_scale import LabelScale
from pipeline.models.loading import load_classifier
from pipeline.params.models import Fit
from pipeline.training import finetune as finetune_module
from pipeline.training import frozen_states as frozen_states_module
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.finetune import fine_tune, steps_of_epochs

FIT = Fit(batch_size=8, learning_rate=6e-3)


@pytest.fixture
def model(tiny_classifier):
    return load_classifier(str(tiny_classifier), "teacher", ["negative", "positive"])


def tune(model, tokenizer, phases, validation, fit=FIT, seed=1):
    return fine_tune(model, tokenizer, phases, validation, fit, max_length=16, seed=seed, section="teacher")


def test_it_learns(model, tokenizer, reviews):
    result = tune(model, tokenizer, [(reviews(64), 5)], reviews(40, seed=1))
    assert result["accuracy"] > 0.9
    assert not model.training
    losses = [epoch["trained_loss"] for epoch in result["history"]]
    assert losses[-1] < losses[0]


def test_phases_run_in_order_and_the_best_epoch_stays(model, tokenizer, reviews):
    validation = reviews(40, seed=1)
    flipped = replace(reviews(64), labels=1 - reviews(64).labels)
    result = tune(model, tokenizer, [(reviews(64), 4), (flipped, 4)], validation)
    epochs = [(epoch["phase"], epoch["epoch"]) for epoch in result["history"]]
    assert epochs == [(phase, epoch) for phase in (1, 2) for epoch in (1, 2, 3, 4)]
    assert result["history"][-1]["accuracy"] < 0.5 < result["accuracy"]
    best = max(result["history"], key=lambda epoch: (epoch["accuracy"], -epoch["loss"]))
    assert {name: result[name] for name in best} == best
    logits = predict(model, tokenizer, validation, 16)
    assert scores(validation.labels, decide(logits, validation.names), validation.names)["accuracy"] == best["accuracy"]
    assert loss(validation.labels, logits, validation.names) == pytest.approx(best["loss"], abs=1e-6)


def test_the_seed_decides_and_the_global_generator_is_restored(tiny_classifier, tokenizer, reviews):
    def run(seed):
        model = load_classifier(str(tiny_classifier), "teacher", ["negative", "positive"])
        tune(model, tokenizer, [(reviews(24), 2)], reviews(10, seed=1), seed=seed)
        return model.state_dict()

    before = torch.random.get_rng_state()
    one, same, other = run(1), run(1), run(2)
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_regression(tiny_encoder, tokenizer, reviews):
    def numbers(texts):
        return replace(texts, labels=texts.labels.astype(np.float32) * 4, names=[])

    model = load_classifier(str(tiny_encoder), "teacher.model", [])
    result = tune(model, tokenizer, [(numbers(reviews(64)), 6)], numbers(reviews(40, seed=1)))
    assert result["r2"] > 0.6


@pytest.mark.parametrize(("factor", "shift"), [(1, 0), (20, 0), (8, 1950), (0.25, -0.125)])
def test_the_unit_of_the_labels_changes_nothing_but_the_unit(tiny_encoder, tokenizer, reviews, factor, shift):
    """Labels of 1 and 2 in other units, all exact in float32: the same model, which answers in the unit."""

    def answers(factor, shift):
        def numbers(texts):
            return replace(texts, labels=(texts.labels + 1).astype(np.float32) * factor + np.float32(shift), names=[])

        train, validation = numbers(reviews(64)), numbers(reviews(40, seed=1))
        scale = LabelScale.of(train.labels, [])
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = load_classifier(str(tiny_encoder), "teacher.model", [], scale)
        result = fine_tune(
            model, tokenizer, [(train, 6)], validation, FIT, max_length=16, seed=1, section="teacher", scale=scale
        )
        predicted = predict(model, tokenizer, validation, 16)
        assert scores(validation.labels, predicted[:, 0], [])["r2"] == pytest.approx(result["r2"], abs=1e-3)
        assert loss(validation.labels, predicted, []) / scale.deviation**2 == pytest.approx(result["loss"], rel=1e-2)
        return predicted

    expected = answers(1, 0)
    assert 1.3 < expected.mean() < 1.7
    assert expected.std() > 0.3
    np.testing.assert_allclose((answers(factor, shift) - shift) / factor, expected, atol=2e-3)


def test_of_equal_labels_the_loss_decides(tiny_encoder, tokenizer, reviews):
    constant = replace(reviews(6), labels=np.ones(6, dtype=np.float32), names=[])
    model = load_classifier(str(tiny_encoder), "teacher.model", [])
    result = tune(model, tokenizer, [(constant, 3)], constant)
    assert result["r2"] == -1.0
    assert result["loss"] == min(epoch["loss"] for epoch in result["history"])


def test_the_epoch_with_the_lowest_loss_if_asked_for(model, tokenizer, reviews):
    validation = reviews(20, seed=1)
    fit = Fit(batch_size=8, learning_rate=0.02, warmup=0)
    options = {"max_length": 16, "seed": 1, "section": "teacher", "by_loss": True}
    # Learnt by heart, labels at random make the loss on other texts rise.
    random = replace(reviews(24), labels=np.random.default_rng(0).integers(0, 2, 24))
    result = fine_tune(model, tokenizer, [(random, 8)], validation, fit, **options)
    losses = [epoch["loss"] for epoch in result["history"]]
    assert result["loss"] == min(losses) < losses[-1]
    assert loss(validation.labels, predict(model, tokenizer, validation, 16), validation.names) == pytest.approx(
        result["loss"], rel=1e-5
    )


@pytest.mark.parametrize("phases", [lambda texts: [(texts(8), 0)], lambda texts: [(texts(0), 2)]])
def test_without_training_the_model_stays_as_it_is(model, tokenizer, reviews, phases):
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    result = tune(model, tokenizer, phases(reviews), reviews(10, seed=1))
    assert result["history"] == []
    assert 0 <= result["accuracy"] <= 1
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def test_a_loss_that_is_nan(model, tokenizer, reviews):
    with pytest.raises(InputError, match=r"teacher\.learning_rate: got 1e\+30, with which the loss is not finite"):
        tune(model, tokenizer, [(reviews(40), 4)], reviews(10), Fit(batch_size=4, learning_rate=1e30, warmup=0))


@pytest.mark.parametrize(
    ("epochs", "steps"),
    [(0, []), (2, [10, 10]), (0.25, [3]), (2.3, [10, 10, 3]), (0.001, [1]), (1.0, [10]), (1.95, [10, 10])],
)
def test_steps_of_each_epoch(epochs, steps):
    assert steps_of_epochs(epochs, 10) == steps


def test_a_part_of_an_epoch_is_its_first_batches_and_is_validated(tiny_classifier, tokenizer, reviews, monkeypatch):
    taken = []
    loss_of = finetune_module._loss
    monkeypatch.setattr(finetune_module, "_loss", lambda *args: taken.append(args[3].tolist()) or loss_of(*args))

    def batches(epochs):
        taken.clear()
        model = load_classifier(str(tiny_classifier), "teacher", ["negative", "positive"])
        result = tune(model, tokenizer, [(reviews(72), epochs)], reviews(10, seed=1))
        return list(taken), result["history"], model.state_dict()

    (whole, _, weights), (part, history, _) = batches(2), batches(1.3)
    assert (len(whole), len(part)) == (18, 9 + 3)
    assert part == whole[:12]
    assert [epoch["epoch"] for epoch in history] == [1, 2]
    (_, _, same) = batches(2.0)
    assert all(torch.equal(weights[name], same[name]) for name in weights)


def test_the_loss_of_a_part_of_an_epoch_is_a_mean_of_its_texts(model, tokenizer, reviews):
    result = tune(model, tokenizer, [(reviews(64), 0.25)], reviews(10, seed=1), Fit(batch_size=8, learning_rate=1e-9))
    assert result["history"][0]["trained_loss"] == pytest.approx(0.69, abs=0.1)


def test_the_score_decides_which_epoch_is_kept(model, tokenizer, reviews):
    validation = reviews(20, seed=1)
    validation = replace(validation, labels=np.arange(20) % 4 // 3)
    result = tune(model, tokenizer, [(reviews(64), 2)], validation)
    assert "accuracy" not in result
    assert result["mcc"] == max(epoch["mcc"] for epoch in result["history"])


def test_a_finished_run_that_is_kept_is_not_trained_again(tiny_classifier, tokenizer, reviews, work_cache, monkeypatch):
    def run():
        model = load_classifier(str(tiny_classifier), "teacher", ["negative", "positive"])
        checkpoint = Checkpoint("kept", "pipeline.training.finetune", number=1)
        result = fine_tune(
            model, tokenizer, [(reviews(24), 2), (reviews(8), 1)], reviews(10, seed=1), FIT,
            max_length=16, seed=1, section="teacher", checkpoint=checkpoint, keep=True,
        )  # fmt: skip
        return result, model.state_dict()

    (result, weights) = run()
    monkeypatch.setattr(finetune_module, "_loss", None)
    (again, same) = run()
    assert again == result
    assert all(torch.equal(weights[name], same[name]) for name in weights)


def test_states_computed_once_train_the_same_model(tiny_classifier, tokenizer, uneven, monkeypatch):
    """Texts of different lengths, so that those of a batch are padded differently in each epoch."""
    target, validation = (read_texts(uneven / f"{name}.parquet") for name in ("source", "validation"))
    passes = []

    def run():
        passes.clear()
        model = load_classifier(str(tiny_classifier), "teacher", ["negative", "positive"])
        model.bert.encoder.layer[1].output.dense.register_forward_hook(lambda *_: passes.append(1))
        result = fine_tune(
            model, tokenizer, [(target, 3)], validation, Fit(batch_size=8, learning_rate=1e-3),
            max_length=16, seed=1, section="teacher", frozen=freeze(model, 2, "teacher.frozen"),
        )  # fmt: skip
        return result, model.state_dict()

    result, weights = run()
    once = len(passes)
    monkeypatch.setattr(frozen_states_module, "MEMORY", 0)
    again, same = run()
    assert once < len(passes)
    assert [epoch["accuracy"] for epoch in result["history"]] == [epoch["accuracy"] for epoch in again["history"]]
    for name, weight in weights.items():
        # The softmax cancels what a key's bias adds: its gradient is rounding, which Adam makes as large as any other.
        if not name.endswith("key.bias"):
            torch.testing.assert_close(weight, same[name], rtol=1e-4, atol=1e-5, msg=name)
    # Dropout of the layers that are trained draws the same numbers; only rounding may differ.
    assert result["loss"] == pytest.approx(again["loss"], abs=1e-5)
