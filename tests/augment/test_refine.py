"""The refined generator: words of neighbours with a high reward become likelier, others less likely (Eq. 9)."""

import copy
import json
from functools import partial

import numpy as np
import pytest
import torch
from helpers.hand_made import write_selection, write_shard
from helpers.killed import EveryStep, Killed
from transformers import RobertaConfig, RobertaForMaskedLM

from pipeline.augment.distance import log_p_distance
from pipeline.augment.filler import Filler
from pipeline.augment.neighbour import Neighbour
from pipeline.augment.originals import encode_originals
from pipeline.augment.refine import batch_log_likelihood, fit_generator, log_likelihoods, refine_generator
from pipeline.augment.rewards import rewards, weights
from pipeline.augment.sampler import sample_neighbours
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
def neighbours(filler):
    """Four neighbours of each text: open masks, and the words that were drawn."""
    tokenizer = filler.tokenizer
    originals = encode_originals(["a", "b"], TEXTS, None, ["x", "x"], tokenizer, max_length=32, side="both")
    unfilled = [Neighbour(o, 0, positions, [], 0.0, 0.0) for o in originals for positions, _ in CHANGES]
    return unfilled, [tokenizer.convert_tokens_to_ids(new) for _ in originals for _, new in CHANGES]


@torch.no_grad()
def test_the_likelihood_is_the_models(filler, neighbours):
    """One neighbour of two words, against a pass computed by hand with both masked."""
    unfilled, words = neighbours
    ids = filler.tokenizer("[MASK] [MASK] film", return_tensors="pt").input_ids
    logits = filler.model(input_ids=ids).logits[0, 1:3].double()
    expected = 0.0
    for index, (old, new) in enumerate(
        zip(filler.tokenizer.convert_tokens_to_ids(["a", "good"]), words[3], strict=True)
    ):
        allowed = filler.allowed[""].clone()
        allowed[old] = False
        expected += float(logits[index, new] - logits[index, allowed].logsumexp(0))
    assert float(batch_log_likelihood(filler, unfilled, words)[3]) == pytest.approx(expected, abs=1e-4)
    assert log_likelihoods(filler, unfilled, words, 16) == pytest.approx(
        batch_log_likelihood(filler, unfilled, words).numpy(), abs=1e-4
    )


def test_kept_neighbours_become_likelier_and_dropped_ones_less(filler, neighbours, make_params):
    unfilled, words = neighbours
    pi = np.array([1.0, 0.0, 1.0, 0.0] * 2)
    original = np.repeat([0, 1], 4)
    weight = weights(rewards(np.full(8, -10.0), pi, original, scale=20.0), original) * 4
    embeddings = filler.model.get_input_embeddings().weight.detach().clone()
    before = log_likelihoods(filler, unfilled, words, 64)
    params = make_params(refine={"epochs": 10, "batch_size": 4, "learning_rate": 0.003})
    fit_generator(filler, unfilled, words, weight, params)
    change = log_likelihoods(filler, unfilled, words, 64) - before
    # `great` and `bad` are alternatives at the same mask: one gains what the other loses.
    assert change[pi == 1].min() > 0.1
    assert change[[1, 5]].max() < -0.1
    assert change[pi == 1].min() > change[pi == 0].max()
    torch.testing.assert_close(filler.model.get_input_embeddings().weight, embeddings)


@pytest.mark.parametrize(("drawn", "read"), [("each", "each"), ("alike", "alike"), ("kept", "kept"), ("alike", "each")])
def test_the_likelihood_of_pairs_is_the_one_they_were_drawn_with(
    filler, make_params, tiny_masked_lm, work_cache, tmp_path, drawn, read
):
    texts, pairs = ["A good FILM , a film", "the joke was slow"], ["The film was good", "a slow joke was never good"]
    originals = encode_originals(
        ["a", "b"], texts, pairs, ["x", "x"], filler.tokenizer, max_length=32, side="both", shared=drawn
    )
    distances = partial(log_p_distance, alpha=2.0, vocabulary=100, count="vocabulary_free", min_distance=1)
    rows, _ = sample_neighbours(originals, 6, filler, distances, seed=1)
    shards = write_shard(tmp_path / "augmented", [row | {"domain": "target"} for row in rows])
    selection = write_selection(
        tmp_path / "selection.parquet", {row["id"]: index % 2 for index, row in enumerate(rows)}
    )
    params = make_params(augment={"shared": read}, refine={"epochs": 1}, max_length=32)
    refine = partial(
        refine_generator, params, augmented=shards, selection=selection, generator=tiny_masked_lm,
        out=tmp_path / "refined", metrics=tmp_path / "refine.json",
    )  # fmt: skip
    if drawn != read:
        with pytest.raises(InputError, match="a-001: not drawn by this generator with these params"):
            refine()
        return
    refine()
    measured = json.loads((tmp_path / "refine.json").read_text())
    groups = [measured[name] for name in ("worth_more", "worth_less")]
    found = sum(group["neighbours"] * group["log_p_words_before"] for group in groups)
    assert found == pytest.approx(sum(row["log_p_words"] for row in rows), abs=0.01)


def test_neighbours_of_several_scripts_with_marks_are_read_back(sentence_piece, make_params, work_cache, tmp_path):
    """Pieces of a script, and words beside them, by a tokenizer that takes them for one word."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    model = RobertaForMaskedLM(
        RobertaConfig(vocab_size=len(sentence_piece), pad_token_id=1, max_position_embeddings=70, **sizes)
    )
    for part in (model, sentence_piece):
        part.save_pretrained(tmp_path / "generator")
    params = make_params(augment={"keep": "movie|画"}, refine={"epochs": 1}, max_length=32)
    filler = Filler(model, sentence_piece, params)
    originals = encode_originals(
        ["a", "b"], ["这部电影好看，a movie!", "とても好きな映画, it was"], None, ["x", "x"], sentence_piece,
        max_length=32, side="both", keep=params.augment.keep,
    )  # fmt: skip
    distances = partial(log_p_distance, alpha=2.0, vocabulary=100, count="vocabulary_free", min_distance=1)
    rows, _ = sample_neighbours(originals, 8, filler, distances, seed=1)
    assert all("movie" in row["text"] or "映画" in row["text"] for row in rows)
    shards = write_shard(tmp_path / "augmented", [row | {"domain": "target"} for row in rows])
    selection = write_selection(tmp_path / "selection.parquet", {row["id"]: i % 2 for i, row in enumerate(rows)})
    files = {"generator": tmp_path / "generator", "out": tmp_path / "refined", "metrics": tmp_path / "refine.json"}
    refine_generator(params, augmented=shards, selection=selection, **files)
    measured = json.loads((tmp_path / "refine.json").read_text())
    groups = [measured[name] for name in ("worth_more", "worth_less")]
    found = sum(group["neighbours"] * group["log_p_words_before"] for group in groups)
    assert found == pytest.approx(sum(row["log_p_words"] for row in rows), abs=0.01)
    other = make_params(augment={"keep": None}, refine={"epochs": 1}, max_length=32)
    with pytest.raises(InputError, match="a-001: not drawn by this generator with these params"):
        refine_generator(other, augmented=shards, selection=selection, **files)


def test_the_same_seed_the_same_weights(filler, neighbours, make_params):
    params = make_params(refine={"epochs": 2, "batch_size": 3, "learning_rate": 0.001})
    other = copy.deepcopy(filler)
    for each in (filler, other):
        fit_generator(each, *neighbours, np.ones(8), params)
    for name, tensor in filler.model.state_dict().items():
        assert torch.equal(tensor, other.model.state_dict()[name]), name


def test_a_killed_run_resumes(filler, neighbours, make_params, work_cache, monkeypatch):
    params = make_params(refine={"epochs": 2, "batch_size": 3, "learning_rate": 0.001})
    killed, again = copy.deepcopy(filler), copy.deepcopy(filler)
    fit_generator(filler, *neighbours, np.ones(8), params)
    with pytest.raises(Killed):
        fit_generator(killed, *neighbours, np.ones(8), params, EveryStep(2))
    steps = []
    monkeypatch.setattr(Checkpoint, "save", lambda *args: steps.append(args[2]["steps"]))
    monkeypatch.setattr(Checkpoint, "due", True)
    fit_generator(again, *neighbours, np.ones(8), params, Checkpoint("test", "pipeline.training.checkpoint", run=1))
    assert steps == [3, 4, 5, 6]
    for name, tensor in filler.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name]), name


def test_too_high_a_rate_is_named(filler, neighbours, make_params):
    params = make_params(refine={"epochs": 3, "batch_size": 2, "learning_rate": 1e30, "warmup": 0})
    with pytest.raises(InputError, match=r"refine\.learning_rate: got 1e\+30, with which the loss is not finite"):
        fit_generator(filler, *neighbours, np.ones(8), params)
