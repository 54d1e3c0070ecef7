"""The masked language model at work: it fills the masks of neighbours with words (Eq. 12)."""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.augment.neighbour import Neighbour
from pipeline.augment.words import draw_words, log_p_words, piece_text, uniform_over_top, whole_words
from pipeline.compute import distributed
from pipeline.compute.batching import length_batches, padded
from pipeline.errors import InputError
from pipeline.models.forward_shortcuts import head_only_at
from pipeline.params.schema import Params

BATCH_TOKENS = 2048
"""Pieces in one pass: what bounds the memory, most of which is the vocabulary's logits at the masks."""


CACHED_ROWS = 32
"""Masks whose distributions over some 30,000 words go through a processor's cache together."""


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
        self.place = distributed.device()
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
        return self._log_p(self._logits(drafts, which), self._old(drafts, which))

    def _logits(self, drafts: Sequence[Neighbour], which: slice) -> torch.Tensor:
        """What the model says at the masks: (masks, outputs)."""
        pieces = [draft.pieces(self.tokenizer.mask_token_id) for draft in drafts]
        tokens, attention = padded([row for row, _ in pieces], self.tokenizer.pad_token_id)
        inputs = {"input_ids": tokens, "attention_mask": attention}
        if "token_type_ids" in self.tokenizer.model_input_names:
            inputs["token_type_ids"] = padded([types for _, types in pieces], 0)[0]
        masked = torch.zeros_like(tokens, dtype=torch.bool)
        for row, draft in enumerate(drafts):
            masked[row, draft.masks()[which]] = True
        with head_only_at(self.model, masked.to(self.place)):
            logits: torch.Tensor = self.model(**{name: value.to(self.place) for name, value in inputs.items()}).logits
        return logits

    def _old(self, drafts: Sequence[Neighbour], which: slice) -> torch.Tensor:
        """The pieces that stood at the masks: (masks,)."""
        return torch.tensor([piece for draft in drafts for piece in draft.old(self.whole)[which]], device=self.place)

    def _log_p(self, logits: torch.Tensor, old: torch.Tensor) -> torch.Tensor:
        log_p = log_p_words(logits, temperature=self.temperature, allowed=self.allowed, old=old)
        return log_p if self.candidates is None else uniform_over_top(log_p, self.candidates)

    @torch.inference_mode()
    def _pass(self, drafts: Sequence[Neighbour], which: slice) -> None:
        """The masks that `which` picks of each neighbour get their words."""
        logits, old = self._logits(drafts, which), self._old(drafts, which)
        quantiles = torch.tensor([q for draft in drafts for q in draft.quantiles[which]], device=self.place)
        taken = _taken(drafts, which)
        words: list[int] = []
        chances: list[float] = []
        # On a CPU a few rows of the vocabulary at a time, which stay in its cache.
        size = CACHED_ROWS if self.place.type == "cpu" else len(logits)
        for first in range(0, len(logits), size):
            rows = slice(first, first + size)
            log_p = self._log_p(logits[rows], old[rows])
            # One output that is no number makes a whole row of them.
            if log_p[:, 0].isnan().any():
                raise InputError("generator: its outputs are no numbers; accepted: a masked language model that works")
            barred = {row - first: taken[row] for row in range(*rows.indices(len(logits))) if row in taken}
            drawn = draw_words(_without(log_p, barred), quantiles[rows])
            words += drawn.tolist()
            chances += log_p.gather(1, drawn.unsqueeze(1)).squeeze(1).double().tolist()
        filled = iter(zip(words, chances, strict=True))
        for draft in drafts:
            for _ in draft.positions[which]:
                word, chance = next(filled)
                draft.words.append(word)
                draft.log_p_words += chance


def _taken(drafts: Sequence[Neighbour], which: slice) -> dict[int, list[int]]:
    """What the last mask of a draft may not become, by the mask's place among all that `which` picks."""
    taken = {}
    row = -1
    for draft in drafts:
        open_masks = range(len(draft.positions))[which]
        row += len(open_masks)
        if draft.taken and open_masks[-1] == len(draft.positions) - 1:
            taken[row] = sorted(draft.taken)
    return taken


def _without(log_p: torch.Tensor, taken: dict[int, list[int]]) -> torch.Tensor:
    """The distributions with no chance for the words taken, by row; a row that they would leave none as it is."""
    out = log_p.clone() if taken else log_p
    for row, words in taken.items():
        left = log_p[row].index_fill(0, torch.tensor(words, device=log_p.device), -torch.inf)
        if left.isfinite().any():
            out[row] = left.log_softmax(0)
    return out
