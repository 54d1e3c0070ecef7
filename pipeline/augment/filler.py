"""The masked language model fills the masks of neighbours with words (Eq. 12)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.augment.neighbour import Neighbour
from pipeline.augment.words import draw_words, log_p_words, piece_text, uniform_over_top, whole_words
from pipeline.compute import distributed
from pipeline.compute.batching import length_batches, padded
from pipeline.errors import InputError
from pipeline.models.forward_shortcuts import head_only_at
from pipeline.models.loading import load_masked_lm
from pipeline.params.schema import Params

BATCH_TOKENS = 2048
"""Pieces in one forward pass. They bound the memory, most of which is the vocabulary's logits at the masks."""
CACHED_ROWS = 32
"""Masks whose distributions over some 30,000 words fit into a processor's cache together."""


def load_generator(folder: Path) -> PreTrainedModel:
    """Load the generator stage's model. Raises InputError if it has no masked-LM head."""
    model, has_head = load_masked_lm(folder, "generator")
    if not has_head:
        raise InputError(f"generator: {folder} has no masked-LM head; accepted: what the generator stage writes")
    return model


class Filler:
    """Fills masks with words (Eq. 12): a masked language model, its whole words and the temperature."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerFast,
        params: Params,
        *,
        candidates: int | None = None,
    ) -> None:
        """Move the model to the device, in evaluation mode.

        Args:
            candidates: draw uniformly from this many of the likeliest words, instead of from Eq. 12.
        """
        self.candidates = candidates
        self.device = distributed.device()
        self.model = model.eval().to(self.device)
        self.tokenizer = tokenizer
        self.temperature = params.temperature
        self.sequential = params.augment.fill == "sequential"
        self.allowed = whole_words(tokenizer).to(self.device)
        self.whole_words = {piece_text(tokenizer, piece): piece for piece in self.allowed.nonzero().squeeze(1).tolist()}

    def fill(self, drafts: Sequence[Neighbour]) -> None:
        """Write words and their log-probability into neighbours whose positions are drawn."""
        batches = length_batches(np.array([len(draft.pieces(0)[0]) for draft in drafts]), tokens=BATCH_TOKENS)
        for batch in batches:
            chosen = [drafts[i] for i in batch]
            steps = max(len(draft.positions) for draft in chosen) if self.sequential else 1
            for step in range(steps):
                open_masks = [draft for draft in chosen if len(draft.positions) > step]
                if open_masks:
                    self._fill_masks(open_masks, slice(step, step + 1) if self.sequential else slice(None))

    def distributions(self, drafts: Sequence[Neighbour], which: slice = slice(None)) -> torch.Tensor:
        """log P(w | d, o, x) at the masks that `which` selects of each neighbour (Eq. 12): (masks, vocabulary).

        One forward pass. Words that the neighbours already have are in the text; the others are masked.
        """
        return self._log_p(self._logits(drafts, which), self._old_pieces(drafts, which))

    def _logits(self, drafts: Sequence[Neighbour], which: slice) -> torch.Tensor:
        """The model's outputs at the masks: (masks, outputs)."""
        pieces = [draft.pieces(self.tokenizer.mask_token_id) for draft in drafts]
        tokens, attention = padded([row for row, _ in pieces], self.tokenizer.pad_token_id)
        inputs = {"input_ids": tokens, "attention_mask": attention}
        if "token_type_ids" in self.tokenizer.model_input_names:
            inputs["token_type_ids"] = padded([types for _, types in pieces], 0)[0]
        masked = torch.zeros_like(tokens, dtype=torch.bool)
        for row, draft in enumerate(drafts):
            masked[row, draft.masks()[which]] = True
        with head_only_at(self.model, masked.to(self.device)):
            logits: torch.Tensor = self.model(**{name: value.to(self.device) for name, value in inputs.items()}).logits
        return logits

    def _old_pieces(self, drafts: Sequence[Neighbour], which: slice) -> torch.Tensor:
        """The original's pieces at the masks: (masks,)."""
        old = [piece for draft in drafts for piece in draft.old_pieces(self.whole_words)[which]]
        return torch.tensor(old, device=self.device)

    def _log_p(self, logits: torch.Tensor, old: torch.Tensor) -> torch.Tensor:
        log_p = log_p_words(logits, temperature=self.temperature, allowed=self.allowed, old=old)
        return log_p if self.candidates is None else uniform_over_top(log_p, self.candidates)

    @torch.inference_mode()
    def _fill_masks(self, drafts: Sequence[Neighbour], which: slice) -> None:
        """Draw words for the masks that `which` selects of each neighbour, in one forward pass."""
        logits, old = self._logits(drafts, which), self._old_pieces(drafts, which)
        quantiles = torch.tensor([q for draft in drafts for q in draft.quantiles[which]], device=self.device)
        excluded = _excluded(drafts, which)
        words: list[int] = []
        log_probs: list[float] = []
        # On a CPU a few rows of the vocabulary at a time, which stay in its cache.
        size = CACHED_ROWS if self.device.type == "cpu" else len(logits)
        for first in range(0, len(logits), size):
            rows = slice(first, first + size)
            log_p = self._log_p(logits[rows], old[rows])
            # One output that is NaN makes its whole row NaN.
            if log_p[:, 0].isnan().any():
                raise InputError("generator: its outputs are NaN; accepted: a masked language model that works")
            excluded_here = {row - first: excluded[row] for row in range(*rows.indices(len(logits))) if row in excluded}
            drawn = draw_words(_without(log_p, excluded_here), quantiles[rows])
            words += drawn.tolist()
            log_probs += log_p.gather(1, drawn.unsqueeze(1)).squeeze(1).double().tolist()
        filled = iter(zip(words, log_probs, strict=True))
        for draft in drafts:
            for _ in draft.positions[which]:
                word, log_prob = next(filled)
                draft.words.append(word)
                draft.log_p_words += log_prob


def _excluded(drafts: Sequence[Neighbour], which: slice) -> dict[int, list[int]]:
    """Pieces that the last mask of a draft may not become, by the mask's index among all that `which` selects."""
    excluded = {}
    row = -1
    for draft in drafts:
        open_masks = range(len(draft.positions))[which]
        row += len(open_masks)
        if draft.excluded and open_masks[-1] == len(draft.positions) - 1:
            excluded[row] = sorted(draft.excluded)
    return excluded


def _without(log_p: torch.Tensor, excluded: dict[int, list[int]]) -> torch.Tensor:
    """The distributions renormalised without the excluded pieces of each row; a row with no other piece stays."""
    out = log_p.clone() if excluded else log_p
    for row, pieces in excluded.items():
        remaining = log_p[row].index_fill(0, torch.tensor(pieces, device=log_p.device), -torch.inf)
        if remaining.isfinite().any():
            out[row] = remaining.log_softmax(0)
    return out
