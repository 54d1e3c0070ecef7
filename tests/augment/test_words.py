"""Eq. 12: the candidates, their probabilities, and a draw at a quantile."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats
from transformers import BertTokenizer

from pipeline.augment.words import draw_words, log_p_words, pool_masks, token_text, whole_words


def logits_of(masks, vocabulary, seed=0):
    return torch.randn(masks, vocabulary, generator=torch.Generator().manual_seed(seed)) * 3


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_softmax_over_what_is_allowed(temperature):
    logits = logits_of(2, 8)
    allowed = torch.tensor([False, True, True, False, True, True, True, True])
    found = log_p_words(logits, temperature=temperature, allowed=allowed, old=torch.tensor([4, -1]))
    for row, candidates in enumerate(([1, 2, 5, 6, 7], [1, 2, 4, 5, 6, 7])):
        wanted = special.log_softmax(logits[row, candidates].double().numpy() / temperature)
        np.testing.assert_allclose(found[row, candidates], wanted, rtol=1e-5)
        others = [piece for piece in range(8) if piece not in candidates]
        assert (found[row, others] == -torch.inf).all()


def test_a_temperature_of_nearly_nothing_takes_the_likeliest():
    logits = logits_of(3, 20)
    log_p = log_p_words(logits, temperature=1e-3, allowed=torch.ones(20).bool(), old=torch.tensor([-1, -1, -1]))
    torch.testing.assert_close(log_p.exp().max(1).values, torch.ones(3))
    assert log_p.argmax(1).tolist() == logits.argmax(1).tolist()


def test_the_old_word_is_left_out_even_if_it_is_the_likeliest():
    logits = torch.tensor([[9.0, 1.0, 1.0]])
    log_p = log_p_words(logits, temperature=1, allowed=torch.ones(3).bool(), old=torch.tensor([0]))
    torch.testing.assert_close(log_p.exp(), torch.tensor([[0.0, 0.5, 0.5]]))


@pytest.mark.parametrize("width", [6, 10])
def test_a_head_wider_or_narrower_than_the_vocabulary(width):
    """Some models pad their vocabulary to a multiple of 64: those pieces are no words."""
    logits = logits_of(1, width)
    log_p = log_p_words(logits, temperature=1, allowed=torch.ones(8).bool(), old=torch.tensor([1]))
    candidates = [piece for piece in range(min(width, 8)) if piece != 1]
    np.testing.assert_allclose(
        log_p[0, candidates], special.log_softmax(logits[0, candidates].double().numpy()), rtol=1e-5
    )
    assert torch.isclose(log_p.exp().sum(), torch.tensor(1.0))


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_a_word_in_several_places_has_the_geometric_mean_of_their_distributions(temperature):
    logits, old = logits_of(4, 8).requires_grad_(), torch.tensor([1, 2, -1, 5])
    allowed = torch.tensor([False, *[True] * 7])
    pooled = pool_masks(logits, old, [[0, 3], [2], [1]])
    found = log_p_words(pooled, temperature=temperature, allowed=allowed, old=torch.tensor([-1, -1, -1]))
    alone = log_p_words(logits.detach(), temperature=temperature, allowed=allowed, old=old).exp().double().numpy()
    wanted = np.sqrt(alone[0] * alone[3])
    np.testing.assert_allclose(found[0].exp().detach(), wanted / wanted.sum(), rtol=1e-5)
    assert found[0].exp()[[0, 1, 5]].tolist() == [0, 0, 0]
    np.testing.assert_array_equal(found[1:].exp().detach(), alone[[2, 1]].astype(np.float32))
    found[:, 3].sum().backward()
    assert logits.grad.isfinite().all()
    # A word likelier in one place is likelier in all.
    assert (logits.grad[:, 3] > 0).all()


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 20))
def test_a_draw_is_the_inverse_of_the_cumulative_sum(quantile, seed):
    log_p = torch.log_softmax(logits_of(1, 12, seed), 1)
    steps = np.cumsum(log_p[0].double().exp().numpy())
    wanted = sum(step <= quantile for step in steps)
    drawn = draw_words(log_p, torch.tensor([quantile])).item()
    # Float32 may move the bounds between two words by a hair.
    assert drawn == wanted or min(abs(steps - quantile)) < 1e-6


def test_draws_have_the_distribution():
    logits = logits_of(1, 6, seed=4)
    log_p = log_p_words(
        logits, temperature=2, allowed=torch.tensor([True] * 5 + [False]), old=torch.tensor([2])
    ).expand(5000, -1)
    drawn = draw_words(log_p, torch.rand(5000, generator=torch.Generator().manual_seed(1)))
    observed = np.bincount(drawn, minlength=6)
    assert observed[2] == observed[5] == 0
    there = [0, 1, 3, 4]
    expected = special.softmax(logits[0, there].double().numpy() / 2) * 5000
    assert stats.chisquare(observed[there], expected).pvalue > 0.001


def test_the_outermost_quantiles_are_candidates():
    """A quantile within 3e-8 of 1 is 1 in float32; the last piece of a vocabulary may be none to draw."""
    allowed = torch.tensor([False, True, True, True, False])
    log_p = log_p_words(logits_of(200, 5), temperature=1, allowed=allowed, old=torch.full((200,), -1))
    assert set(draw_words(log_p, torch.zeros(200)).tolist()) == {1}
    assert set(draw_words(log_p, torch.full((200,), 1 - 1e-9)).tolist()) == {3}


def test_whole_words_of_a_word_piece_vocabulary():
    pieces = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "film", "##s", "!", "é", "##!", "7", "[", "#"]
    tokenizer = BertTokenizer(vocab={piece: index for index, piece in enumerate(pieces)})
    found = [piece for piece, whole in zip(pieces, whole_words(tokenizer), strict=True) if whole]
    assert found == ["film", "!", "é", "7", "[", "#"]
    assert [token_text(tokenizer, tokenizer.convert_tokens_to_ids(piece)) for piece in found] == found


def test_whole_words_of_a_byte_level_vocabulary(byte_level):
    whole = whole_words(byte_level)
    assert whole.shape == (len(byte_level),)
    written = {token_text(byte_level, piece): piece for piece in whole.nonzero().squeeze(1).tolist()}
    assert {"film", "The", "café", "😀", "!"} <= set(written)
    assert byte_level.convert_ids_to_tokens(written["film"]) == "Ġfilm"
    assert not set(written) & {"", *byte_level.all_special_tokens}
    for word, piece in written.items():
        # As a word of a text, each is the one piece it was drawn as; half a character is no word.
        assert byte_level(f"a {word}", add_special_tokens=False)["input_ids"][-1] == piece


def test_a_piece_in_the_middle_of_a_word_is_no_whole_word(byte_level):
    whole = whole_words(byte_level)
    inside = [piece for piece, token in enumerate(byte_level.convert_ids_to_tokens(range(len(byte_level))))
              if not token.startswith("Ġ")]  # fmt: skip
    assert not whole[inside].any()
