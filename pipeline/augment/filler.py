"""The masked language model at work: it fills the masks of neighbours with words (Eq. 12)."""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline import models
from pipeline.augment.neighbour import Neighbour
from pipeline.augment.words import draw_words, log_p_words, piece_text, uniform_over_top, whole_words
from pipeline.batching import length_batches, padded
from pipeline.errors import InputError
from pipeline.params import Params

BATCH_TOKENS = 2048
"""Pieces in one pass: what bounds the memory, most of which is the vocabulary's logits at the masks."""


class Filler:
    """Fills masks with words (Eq. 12): the masked language model, its vocabulary and how it is asked."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerFast,
        params: Params,
        *,
        candidates: int | None = None,
    ) -> None:
        """Take a model to ask.

        Args:
            candidates: draw uniformly from so many of the likeliest words, instead of as likely as they are.
        """
        self.candidates = candidates
        self.place = models.device()
        self.model = model.eval().to(self.place)
        self.tokenizer = tokenizer
        self.temperature = params.temperature
        self.sequential = params.augment.fill == "sequential"
        self.allowed = whole_words(tokenizer).to(self.place)
        self.whole = {piece_text(tokenizer, piece): piece for piece in self.allowed.nonzero().squeeze(1).tolist()}

    def fill(self, drafts: Sequence[Neighbour]) -> None:
        """Write words and their log-probability into neighbours whose positions are drawn."""
        batches = length_batches(np.array([len(draft.pieces(0)[0]) for draft in drafts]), tokens=BATCH_TOKENS)
        for batch in batches:
            chosen = [drafts[i] for i in batch]
            steps = max(len(draft.positions) for draft in chosen) if self.sequential else 1
            for step in range(steps):
                open_masks = [draft for draft in chosen if len(draft.positions) > step]
                if open_masks:
                    self._pass(open_masks, slice(step, step + 1) if self.sequential else slice(None))

    def distributions(self, drafts: Sequence[Neighbour], which: slice = slice(None)) -> torch.Tensor:
        """log P(w | d, o, x) at the masks that `which` picks of each neighbour (Eq. 12): (masks, vocabulary).

        One forward pass. Words that the neighbours have already stand in the text; the others are masked.
        """
        pieces = [draft.pieces(self.tokenizer.mask_token_id) for draft in drafts]
        tokens, attention = padded([row for row, _ in pieces], self.tokenizer.pad_token_id)
        inputs = {"input_ids": tokens, "attention_mask": attention}
        if "token_type_ids" in self.tokenizer.model_input_names:
            inputs["token_type_ids"] = padded([types for _, types in pieces], 0)[0]
        masked = torch.zeros_like(tokens, dtype=torch.bool)
        for row, draft in enumerate(drafts):
            masked[row, draft.masks()[which]] = True
        with models.head_only_at(self.model, masked.to(self.place)):
            logits = self.model(**{name: tensor.to(self.place) for name, tensor in inputs.items()}).logits
        old = torch.tensor([piece for draft in drafts for piece in draft.old(self.whole)[which]], device=self.place)
        log_p = log_p_words(logits, temperature=self.temperature, allowed=self.allowed, old=old)
        return log_p if self.candidates is None else uniform_over_top(log_p, self.candidates)

    @torch.inference_mode()
    def _pass(self, drafts: Sequence[Neighbour], which: slice) -> None:
        """The masks that `which` picks of each neighbour get their words."""
        log_p = self.distributions(drafts, which)
        if log_p.isnan().any():
            raise InputError("generator: its outputs are no numbers; accepted: a masked language model that works")
        quantiles = torch.tensor([q for draft in drafts for q in draft.quantiles[which]], device=self.place)
        words = draw_words(self._without_taken(log_p, drafts, which), quantiles)
        chances = log_p.gather(1, words.unsqueeze(1)).squeeze(1).double().cpu()
        drawn = iter(zip(words.tolist(), chances.tolist(), strict=True))
        for draft in drafts:
            for _ in draft.positions[which]:
                word, chance = next(drawn)
                draft.words.append(word)
                draft.log_p_words += chance

    def _without_taken(self, log_p: torch.Tensor, drafts: Sequence[Neighbour], which: slice) -> torch.Tensor:
        """The distributions with no chance for a draft's `taken` at its last mask; as they are if that leaves none."""
        row = -1
        out = log_p
        for draft in drafts:
            open_masks = range(len(draft.positions))[which]
            row += len(open_masks)
            if draft.taken and open_masks[-1] == len(draft.positions) - 1:
                left = log_p[row].index_fill(0, torch.tensor(sorted(draft.taken), device=self.place), -torch.inf)
                if left.isfinite().any():
                    out = log_p.clone() if out is log_p else out
                    out[row] = left.log_softmax(0)
        return out
