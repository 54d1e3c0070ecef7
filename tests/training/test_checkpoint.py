"""A killed training run resumes and ends with the weights of a run that was not killed."""

import shutil

import numpy as np
import pytest
import torch
from helpers.killed import EveryStep, Killed

from pipeline.augment.adapter import train_adapter
from pipeline.models.loading import load_classifier, load_masked_lm
from pipeline.params.models import Fit, Generator
from pipeline.training import checkpoint as module
from pipeline.training.checkpoint import Checkpoint, model_hash
from pipeline.training.finetune import fine_tune


@pytest.fixture
def checkpoint(work_cache):
    return Checkpoint("teacher", "pipeline.training.checkpoint", seed=1)


def test_a_saved_state_is_loaded(checkpoint, work_cache):
    tied = torch.arange(4.0)
    tensors = {"a": tied, "b": tied, "c": torch.tensor([True, False]), "d": torch.zeros(0, 3), "e": torch.tensor(2)}
    progress = {"best": [-np.inf, 0.1], "order": np.random.default_rng(1).bit_generator.state, "text": "é"}
    torch.manual_seed(3)
    checkpoint.save(tensors, progress)
    drawn = torch.rand(3)
    loaded = Checkpoint("teacher", "pipeline.training.checkpoint", seed=1).load()
    assert torch.equal(torch.rand(3), drawn)
    assert loaded[0].keys() == tensors.keys()
    assert all(torch.equal(loaded[0][name], tensors[name]) for name in tensors)
    assert loaded[1] == progress
    assert checkpoint.path.parent.parent == work_cache / "teacher"


def test_another_run_has_another_checkpoint(checkpoint):
    checkpoint.save({}, {})
    assert Checkpoint("teacher", "pipeline.training.checkpoint", seed=2).load() is None
    assert Checkpoint("distill", "pipeline.training.checkpoint", seed=1).load() is None


def test_a_finished_checkpoint_stays_until_the_next_run(checkpoint):
    checkpoint.save({}, {"steps": 3})
    checkpoint.finish()
    again = Checkpoint("teacher", "pipeline.training.checkpoint", seed=1)
    assert again.load()[1] == {"steps": 3}
    Checkpoint("teacher", "pipeline.training.checkpoint", seed=2)
    assert again.path.exists()
    again.finish()
    Checkpoint("distill", "pipeline.training.checkpoint", seed=2)
    assert again.path.exists()
    Checkpoint("teacher", "pipeline.training.checkpoint", seed=2)
    assert again.load() is None
    assert not again.path.parent.exists()


@pytest.mark.parametrize("position", [3, 12, -1, None])
def test_a_damaged_checkpoint_is_named_and_not_used(checkpoint, caplog, position):
    checkpoint.save({"a": torch.ones(5)}, {"steps": 3})
    content = bytearray(checkpoint.path.read_bytes())
    if position is None:
        content = content[:-4]
    else:
        content[position] ^= 1
    checkpoint.path.write_bytes(content)
    assert checkpoint.load() is None
    assert caplog.messages == [f"{checkpoint.path}: damaged; starting over"]


@pytest.mark.parametrize(("stage", "seed"), [("teacher", 2), ("distill", 1)])
def test_a_checkpoint_copied_from_another_run_is_named_and_not_used(checkpoint, caplog, stage, seed):
    checkpoint.save({"a": torch.ones(5)}, {"steps": 3})
    other = Checkpoint(stage, "pipeline.training.checkpoint", seed=seed)
    shutil.copy(checkpoint.path, other.path)
    assert other.load() is None
    assert caplog.messages == [f"{other.path}: belongs to another run; starting over"]
    assert checkpoint.load()[1] == {"steps": 3}


def test_a_checkpoint_that_cannot_be_written_does_not_stop_the_run(checkpoint, caplog, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "save_file", full)
    checkpoint.save({}, {})
    assert len(caplog.messages) == 1
    assert "cannot be written" in caplog.messages[0]
    assert not checkpoint.due
    assert checkpoint.load() is None


def test_large_progress(checkpoint):
    """More than safetensors takes as metadata."""
    progress = {"logged": ["x" * 1000] * 110_000}
    checkpoint.save({}, progress)
    assert checkpoint.load()[1] == progress


def test_the_work_cache_may_be_cleared_during_a_run(checkpoint, work_cache):
    shutil.rmtree(work_cache)
    checkpoint.save({}, {"steps": 1})
    assert checkpoint.load()[1] == {"steps": 1}
    shutil.rmtree(work_cache)
    checkpoint.finish()


def test_checkpoints_take_a_small_fraction_of_the_time(checkpoint, monkeypatch):
    clock = iter([10.0, 100.0, 102.0, 201.9, 202.1])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    assert checkpoint.due
    checkpoint.save({}, {})
    assert not checkpoint.due
    assert checkpoint.due


def finish_after(kills, run):
    """Start a run once for each of `kills`, killed at that many checkpoints, and then run it to the end."""
    for steps in kills:
        with pytest.raises(Killed):
            run(EveryStep(steps))
    return run(EveryStep())


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("kills", [[1], [3], [5], [3, 1, 4]])
def test_fine_tuning_resumes(tiny_classifier, tokenizer, reviews, work_cache, kills):
    """Two phases of two epochs of three batches, with dropout."""
    model = None
    batches = []

    def run(checkpoint):
        nonlocal model
        model = load_classifier(str(tiny_classifier), "teacher", ["negative", "positive"])
        model.register_forward_pre_hook(lambda module, *_: batches.append(1) if module.training else None)
        phases = [(reviews(24), 2), (reviews(20, seed=2), 2)]
        fit = Fit(batch_size=8, learning_rate=6e-3)
        options = {"max_length": 16, "seed": 1, "section": "teacher", "checkpoint": checkpoint}
        return fine_tune(model, tokenizer, phases, reviews(10, seed=1), fit, **options)

    uninterrupted, weights = run(None), {name: weight.clone() for name, weight in model.state_dict().items()}
    assert len(batches) == 12
    assert finish_after(kills, run) == uninterrupted
    assert same(model.state_dict(), weights)
    # No step was repeated.
    assert len(batches) == 24


@pytest.mark.parametrize("kills", [[2], [1, 5]])
def test_adapter_training_resumes(tiny_encoder, tokenizer, reviews, work_cache, kills):
    def run(checkpoint):
        torch.manual_seed(0)
        model, _ = load_masked_lm(str(tiny_encoder), "generator.model")
        generator = Generator(model="tiny", steps=8, text={"path": "x"}, rank=2, batch_size=4, max_length=16)
        adapted = train_adapter(model, tokenizer, reviews(10).texts, generator, 1, checkpoint)
        return {name: weight.detach().clone() for name, weight in adapted.named_parameters()}

    assert same(run(None), finish_after(kills, run))


def test_the_hash_of_a_model_depends_on_config_weights_and_tokenizer(
    tiny_classifier, tiny_encoder, byte_level, tokenizer
):
    def hashed(**changes):
        torch.manual_seed(1)
        model = load_classifier(changes.get("folder", tiny_classifier), "teacher", ["negative", "positive"])
        with torch.no_grad():
            model.bert.embeddings.word_embeddings.weight[3, 5] += changes.get("more", 0)
        model.config.hidden_dropout_prob = changes.get("dropout", 0.1)
        return model_hash(model, changes.get("tokenizer", tokenizer))

    assert hashed() == hashed()
    others = [{"more": 1e-4}, {"dropout": 0.2}, {"tokenizer": byte_level}, {"folder": tiny_encoder}]
    assert len({hashed(**changes) for changes in [{}, *others]}) == 5
