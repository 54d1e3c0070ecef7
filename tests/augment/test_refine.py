"""The generator learns: what is worth much becomes likelier, what is worth nothing less likely (Eq. 9)."""

import copy

import numpy as np
import pytest
import torch
from helpers.killed import Killed, Often

from pipeline.augment.filler import Filler
from pipeline.augment.neighbour import Neighbour
from pipeline.augment.originals import read_originals
from pipeline.augment.refine import log_likelihood, log_likelihoods, refine
from pipeline.augment.rewards import rewards, weights
from pipeline.errors import InputError
from pipeline.models.loading import load_masked_lm
from pipeline.training.checkpoint import Checkpoint

TEXTS = ["a good film", "a joke was slow , the cast was warm"]
CHANGES = [([1], ["great"]), ([1], ["bad"]), ([2], ["movie"]), ([0, 1], ["the", "dull"])]


@pytest.fixture
def filler(tiny_masked_lm, tokenizer, make_params):
    model, _ = load_masked_lm(str(tiny_masked_lm), "generator.model")
    return Filler(model, tokenizer, make_params())


@pytest.fixture
def drawn(filler):
    """Four neighbours of each text: open masks, and the words that were drawn."""
    tokenizer = filler.tokenizer
    originals = read_originals(["a", "b"], TEXTS, None, ["x", "x"], tokenizer, max_length=32, side="both")
    drafts = [Neighbour(o, 0, 0, positions, [], 0.0, 0.0) for o in originals for positions, _ in CHANGES]
    return drafts, [tokenizer.convert_tokens_to_ids(new) for _ in originals for _, new in CHANGES]


@torch.no_grad()
def test_the_likelihood_is_the_models(filler, drawn):
    """One neighbour of two words, against a pass by hand with both masked."""
    drafts, words = drawn
    ids = filler.tokenizer("[MASK] [MASK] film", return_tensors="pt").input_ids
    logits = filler.model(input_ids=ids).logits[0, 1:3].double()
    wanted = 0.0
    for place, (old, new) in enumerate(
        zip(filler.tokenizer.convert_tokens_to_ids(["a", "good"]), words[3], strict=True)
    ):
        allowed = filler.allowed.clone()
        allowed[old] = False
        wanted += float(logits[place, new] - logits[place, allowed].logsumexp(0))
    assert float(log_likelihood(filler, drafts, words)[3]) == pytest.approx(wanted, abs=1e-4)
    assert log_likelihoods(filler, drafts, words, 16) == pytest.approx(
        log_likelihood(filler, drafts, words).numpy(), abs=1e-4
    )


def test_what_the_selector_keeps_becomes_likelier_and_what_it_drops_less(filler, drawn, make_params):
    drafts, words = drawn
    pi = np.array([1.0, 0.0, 1.0, 0.0] * 2)
    original = np.repeat([0, 1], 4)
    worth = weights(rewards(np.full(8, -10.0), pi, original, scale=20.0), original) * 4
    embeddings = filler.model.get_input_embeddings().weight.detach().clone()
    before = log_likelihoods(filler, drafts, words, 64)
    refine(filler, drafts, words, worth, make_params(refine={"epochs": 10, "batch_size": 4, "learning_rate": 0.003}))
    change = log_likelihoods(filler, drafts, words, 64) - before
    # `good` and `bad` stand at the same mask, and share what there is.
    assert change[pi == 1].min() > 0.1
    assert change[[1, 5]].max() < -0.1
    assert change[pi == 1].min() > change[pi == 0].max()
    torch.testing.assert_close(filler.model.get_input_embeddings().weight, embeddings)


def test_the_same_seed_the_same_weights(filler, drawn, make_params):
    params = make_params(refine={"epochs": 2, "batch_size": 3, "learning_rate": 0.001})
    other = copy.deepcopy(filler)
    for each in (filler, other):
        refine(each, *drawn, np.ones(8), params)
    for name, tensor in filler.model.state_dict().items():
        assert torch.equal(tensor, other.model.state_dict()[name]), name


def test_a_killed_run_goes_on(filler, drawn, make_params, work_cache, monkeypatch):
    params = make_params(refine={"epochs": 2, "batch_size": 3, "learning_rate": 0.001})
    killed, again = copy.deepcopy(filler), copy.deepcopy(filler)
    refine(filler, *drawn, np.ones(8), params)
    with pytest.raises(Killed):
        refine(killed, *drawn, np.ones(8), params, Often(2))
    served = []
    monkeypatch.setattr(Checkpoint, "save", lambda *given: served.append(given[2]["steps"]))
    monkeypatch.setattr(Checkpoint, "due", True)
    refine(again, *drawn, np.ones(8), params, Checkpoint("test", "pipeline.training.checkpoint", run=1))
    assert served == [3, 4, 5, 6]
    for name, tensor in filler.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name]), name


def test_too_high_a_rate_is_named(filler, drawn, make_params):
    params = make_params(refine={"epochs": 3, "batch_size": 2, "learning_rate": 1e30, "warmup": 0})
    with pytest.raises(
        InputError, match=r"refine.learning_rate: got 1e\+30, with which the loss is no longer a number"
    ):
        refine(filler, *drawn, np.ones(8), params)
