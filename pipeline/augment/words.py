"""Eq. 12: which words take the place of those that change."""

import unicodedata
from collections.abc import Sequence
from functools import lru_cache

import torch
from transformers import PreTrainedTokenizerFast

from pipeline.data.scripts import script, script_of

CONTINUES_WORD = "##"
STARTS_WORD = ("Ġ", "▁")
NO_CHARACTER = "\N{REPLACEMENT CHARACTER}"
"""What a decoder writes for bytes that are part of a character only."""
SIGNS = "signs"
"""The key of punctuation, digits and symbols in `pieces_by_script`."""


def whole_words(tokenizer: PreTrainedTokenizerFast) -> torch.Tensor:
    """Which tokens of the vocabulary are whole words: boolean, (vocabulary,).

    Left out are special and unused tokens and tokens that continue a word: `##ing` in WordPiece, and in byte-level or
    sentence-piece vocabularies those without the sign of a word's beginning; and bytes that make no whole character.
    """
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    starts = next(
        (sign for sign in STARTS_WORD if sum(token.startswith(sign) for token in tokens) > len(tokens) / 20), ""
    )
    special = special_tokens(tokenizer)
    return torch.tensor(
        [
            token not in special
            and not token.startswith(CONTINUES_WORD)
            and not (token.startswith("[unused") and token.endswith("]"))
            and token.startswith(starts)
            and bool(text := _decode(tokenizer, token))
            and NO_CHARACTER not in text
            for token in tokens
        ]
    )


def special_tokens(tokenizer: PreTrainedTokenizerFast) -> set[str]:
    """What stands for no word: padding, masks, separators, the unknown word, and tokens added as special ones."""
    added = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    return added | set(tokenizer.all_special_tokens)


@lru_cache(maxsize=2)
def pieces_by_script(tokenizer: PreTrainedTokenizerFast) -> dict[str, dict[str, int]]:
    """Token ids, by script and text, of what may take a word's place where words have no blanks between them.

    Of a script without blanks these are the pieces of its letters alone, whether or not they begin a word; of `SIGNS`
    those without a letter. Of several tokens with one text it is the one spelt as its text.
    """
    special = special_tokens(tokenizer)
    out: dict[str, dict[str, int]] = {}
    for token_id, token in enumerate(tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))):
        # An English word, as most tokens are.
        if token in special or (token.isascii() and any(map(str.isalpha, token))):
            continue
        text = _decode(tokenizer, token).removeprefix(CONTINUES_WORD)
        if not text or NO_CHARACTER in text or unicodedata.category(text[0])[0] == "M":
            continue
        found = script_of(text) if all(map(script, text)) else ""
        if not found and not any(each.isalpha() or each.isspace() for each in text):
            found = SIGNS
        if found and (text not in out.setdefault(found, {}) or token == text):
            out[found][text] = token_id
    return out


def token_text(tokenizer: PreTrainedTokenizerFast, token_id: int) -> str:
    """A token as it is written in a text."""
    return _decode(tokenizer, str(tokenizer.convert_ids_to_tokens(token_id))).removeprefix(CONTINUES_WORD)


def _decode(tokenizer: PreTrainedTokenizerFast, token: str) -> str:
    """A byte-level vocabulary spells é as Ã©: only the tokenizer's decoder knows the text."""
    return str(tokenizer.convert_tokens_to_string([token])).strip()


def log_p_words(logits: torch.Tensor, *, temperature: float, allowed: torch.Tensor, old: torch.Tensor) -> torch.Tensor:
    """log P(w | d, o, x): softmax of logits / T over whole words other than the old one (Eq. 12, p. 4).

    Args:
        logits: (masks, outputs), the masked language model's output at each mask; some models have more outputs than
            their tokenizer has tokens.
        temperature: T.
        allowed: boolean, (vocabulary,), or (masks, vocabulary) if not all masks have the same candidates.
        old: (masks,) int64, the original token there; −1 where the word had several.

    Returns (masks, vocabulary), −inf for what is not allowed.
    """
    scores = logits[:, : allowed.shape[-1]].float()
    allowed = allowed[..., : scores.shape[1]]
    barred = scores.new_zeros(allowed.shape).masked_fill(~allowed, -torch.inf)
    # One pass over the vocabulary in place of three.
    scores = torch.add(barred, scores, alpha=1 / temperature)
    known = (old >= 0).nonzero().squeeze(1)
    scores[known, old[known]] = -torch.inf
    return torch.log_softmax(scores, dim=-1)


def pool_masks(logits: torch.Tensor, old: torch.Tensor, places: Sequence[Sequence[int]]) -> torch.Tensor:
    """The mean of the outputs at masks that become the same word: (words, outputs).

    Its softmax is the geometric mean of the masks' distributions (Eq. 12), normalised: the word has to fit in every
    place, and is as varied as one that has a single place. −inf for what was the old word in any of them.

    Args:
        logits: (masks, outputs).
        old: (masks,) int64, the original token there; −1 where the word had several.
        places: the rows of each word's masks.
    """
    scores = logits.float().clone()
    known = (old >= 0).nonzero().squeeze(1)
    scores[known, old[known]] = -torch.inf
    return torch.stack([scores[list(rows)].mean(0) for rows in places])


def uniform_over_top(log_p: torch.Tensor, candidates: int) -> torch.Tensor:
    """Give each row's likeliest words the same probability, and all others none: (masks, vocabulary)."""
    chosen = log_p.topk(min(candidates, log_p.shape[1]), dim=-1)
    even = torch.full_like(log_p, -torch.inf)
    even.scatter_(1, chosen.indices, torch.where(chosen.values.isfinite(), 0.0, -torch.inf))
    return even.log_softmax(-1)


def draw_words(log_p: torch.Tensor, quantiles: torch.Tensor) -> torch.Tensor:
    """The token at a quantile of each row's distribution: (masks,) int64.

    One random number a mask, instead of one a word, makes a draw depend on its row's seed alone.
    """
    cumulative = log_p.exp()
    torch.cumsum(cumulative, dim=-1, out=cumulative)
    whole = cumulative[:, -1:]
    # In float32 a quantile just below 1 is 1, and after the last sum there are only tokens that may not be drawn.
    threshold = (quantiles.to(cumulative).unsqueeze(1) * whole).minimum(whole.nextafter(torch.zeros_like(whole)))
    return torch.searchsorted(cumulative, threshold, right=True).squeeze(1)
