"""Eq. 12: which words take the place of those that change."""

import torch
from transformers import PreTrainedTokenizerFast

CONTINUES_WORD = "##"
STARTS_WORD = ("Ġ", "▁")
NO_CHARACTER = "\N{REPLACEMENT CHARACTER}"
"""What a decoder writes for bytes that are part of a character only."""


def whole_words(tokenizer: PreTrainedTokenizerFast) -> torch.Tensor:
    """Which pieces are whole words: boolean, (vocabulary,).

    Left out are special and unused pieces and pieces that continue a word: `##ing` in WordPiece, and in byte-level or
    sentence-piece vocabularies those without the sign of a word's beginning; and bytes that make no whole character.
    """
    pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    starts = next(
        (sign for sign in STARTS_WORD if sum(piece.startswith(sign) for piece in pieces) > len(pieces) / 20), ""
    )
    special = set(tokenizer.all_special_tokens)
    return torch.tensor(
        [
            piece not in special
            and not piece.startswith(CONTINUES_WORD)
            and not (piece.startswith("[unused") and piece.endswith("]"))
            and piece.startswith(starts)
            and bool(text := _written(tokenizer, piece))
            and NO_CHARACTER not in text
            for piece in pieces
        ]
    )


def piece_text(tokenizer: PreTrainedTokenizerFast, piece: int) -> str:
    """A whole-word piece as it is written in a text."""
    return _written(tokenizer, str(tokenizer.convert_ids_to_tokens(piece)))


def _written(tokenizer: PreTrainedTokenizerFast, piece: str) -> str:
    """A byte-level vocabulary spells é as Ã©: only the tokenizer's decoder knows the text."""
    return str(tokenizer.convert_tokens_to_string([piece])).strip()


def log_p_words(logits: torch.Tensor, *, temperature: float, allowed: torch.Tensor, old: torch.Tensor) -> torch.Tensor:
    """log P(w | d, o, x): softmax of logits / T over whole words other than the old one (Eq. 12, p. 4).

    Args:
        logits: (masks, outputs), the masked language model's output at each mask; some models have more outputs than
            their tokenizer has pieces.
        temperature: T.
        allowed: boolean, (vocabulary,).
        old: (masks,) int64, the original piece there; −1 where the word had several.

    Returns (masks, vocabulary), −inf for what is not allowed.
    """
    scores = logits[:, : len(allowed)].float()
    barred = torch.zeros_like(scores[0]).masked_fill(~allowed[: scores.shape[1]], -torch.inf)
    # One pass over the vocabulary in place of three.
    scores = torch.add(barred, scores, alpha=1 / temperature)
    known = (old >= 0).nonzero().squeeze(1)
    scores[known, old[known]] = -torch.inf
    return torch.log_softmax(scores, dim=-1)


def uniform_over_top(log_p: torch.Tensor, candidates: int) -> torch.Tensor:
    """Give each row's likeliest words the same chance, and all others none: (masks, vocabulary)."""
    chosen = log_p.topk(min(candidates, log_p.shape[1]), dim=-1)
    even = torch.full_like(log_p, -torch.inf)
    even.scatter_(1, chosen.indices, torch.where(chosen.values.isfinite(), 0.0, -torch.inf))
    return even.log_softmax(-1)


def draw_words(log_p: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """The piece at quantile `uniform` of each row's distribution: (masks,) int64.

    One number a mask, instead of one a word, makes a draw depend on its row's seed alone.
    """
    cumulative = log_p.exp()
    torch.cumsum(cumulative, dim=-1, out=cumulative)
    whole = cumulative[:, -1:]
    # In float32 a quantile just below 1 is 1, and after the last sum there are only pieces that may not be drawn.
    threshold = (uniform.to(cumulative).unsqueeze(1) * whole).minimum(whole.nextafter(torch.zeros_like(whole)))
    return torch.searchsorted(cumulative, threshold, right=True).squeeze(1)
