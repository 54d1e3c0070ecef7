"""The masked language model fills the masks of neighbours with words (Eq. 12)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.augment.neighbour import Neighbour
from pipeline.augment.words import draw_words, log_p_words, token_text, uniform_over_top, whole_words
from pipeline.compute import distributed
from pipeline.compute.batching import length_batches, pad
from pipeline.errors import InputError
from pipeline.models.forward_shortcuts import head_only_at
from pipeline.models.loading import load_masked_lm
from pipeline.params.schema import Params

BATCH_TOKENS = 2048
"""Tokens in one forward pass. They bound the memory, most of which is the vocabulary's logits at the masks."""
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
        allowed_ids = self.allowed.nonzero().squeeze(1).tolist()
        self.whole_words = {token_text(tokenizer, token_id): token_id for token_id in allowed_ids}

    def fill(self, unfilled: Sequence[Neighbour]) -> None:
        """Write words and their log-probability into neighbours whose positions are drawn."""
        lengths = np.array([len(neighbour.encode(0)[0]) for neighbour in unfilled])
        for rows in length_batches(lengths, tokens=BATCH_TOKENS):
            batch = [unfilled[row] for row in rows]
            steps = max(len(neighbour.positions) for neighbour in batch) if self.sequential else 1
            for step in range(steps):
                masked = [neighbour for neighbour in batch if len(neighbour.positions) > step]
                if masked:
                    self._fill_masks(masked, slice(step, step + 1) if self.sequential else slice(None))

    def distributions(self, unfilled: Sequence[Neighbour]) -> torch.Tensor:
        """log P(w | d, o, x) at all masks of the neighbours (Eq. 12), in one forward pass: (masks, vocabulary)."""
        mask_slice = slice(None)
        return self._log_p(self._logits(unfilled, mask_slice), self._old_token_ids(unfilled, mask_slice))

    def _logits(self, neighbours: Sequence[Neighbour], mask_slice: slice) -> torch.Tensor:
        """The model's outputs at the masks of each neighbour that `mask_slice` selects: (masks, outputs).

        Words that the neighbours already have are in the text; all others are masked.
        """
        encoded = [neighbour.encode(self.tokenizer.mask_token_id) for neighbour in neighbours]
        token_ids, attention_mask = pad([row for row, _ in encoded], self.tokenizer.pad_token_id)
        inputs = {"input_ids": token_ids, "attention_mask": attention_mask}
        if "token_type_ids" in self.tokenizer.model_input_names:
            inputs["token_type_ids"] = pad([row for _, row in encoded], 0)[0]
        masked = torch.zeros_like(token_ids, dtype=torch.bool)
        for row, neighbour in enumerate(neighbours):
            masked[row, neighbour.masks()[mask_slice]] = True
        with head_only_at(self.model, masked.to(self.device)):
            logits: torch.Tensor = self.model(**{name: value.to(self.device) for name, value in inputs.items()}).logits
        return logits

    def _old_token_ids(self, neighbours: Sequence[Neighbour], mask_slice: slice) -> torch.Tensor:
        """The original's tokens at these masks: (masks,)."""
        old = [
            token_id for neighbour in neighbours for token_id in neighbour.old_token_ids(self.whole_words)[mask_slice]
        ]
        return torch.tensor(old, device=self.device)

    def _log_p(self, logits: torch.Tensor, old: torch.Tensor) -> torch.Tensor:
        log_p = log_p_words(logits, temperature=self.temperature, allowed=self.allowed, old=old)
        return log_p if self.candidates is None else uniform_over_top(log_p, self.candidates)

    @torch.inference_mode()
    def _fill_masks(self, neighbours: Sequence[Neighbour], mask_slice: slice) -> None:
        """Draw words for the masks that `mask_slice` selects of each neighbour, in one forward pass."""
        logits, old = self._logits(neighbours, mask_slice), self._old_token_ids(neighbours, mask_slice)
        quantiles = torch.tensor(
            [quantile for neighbour in neighbours for quantile in neighbour.quantiles[mask_slice]], device=self.device
        )
        excluded = _excluded_token_ids(neighbours, mask_slice)
        new_token_ids: list[int] = []
        log_probs: list[float] = []
        # On a CPU a few rows of the vocabulary at a time, which stay in its cache.
        size = CACHED_ROWS if self.device.type == "cpu" else len(logits)
        for first in range(0, len(logits), size):
            rows = slice(first, first + size)
            log_p = self._log_p(logits[rows], old[rows])
            # One output that is NaN makes its whole row NaN.
            if log_p[:, 0].isnan().any():
                raise InputError("generator: its outputs are NaN; check generator.model")
            excluded_in_rows = {
                row - first: excluded[row] for row in range(*rows.indices(len(logits))) if row in excluded
            }
            drawn = draw_words(_exclude(log_p, excluded_in_rows), quantiles[rows])
            new_token_ids += drawn.tolist()
            log_probs += log_p.gather(1, drawn.unsqueeze(1)).squeeze(1).double().tolist()
        filled = iter(zip(new_token_ids, log_probs, strict=True))
        for neighbour in neighbours:
            for _ in neighbour.positions[mask_slice]:
                token_id, log_prob = next(filled)
                neighbour.new_token_ids.append(token_id)
                neighbour.log_p_words += log_prob


def _excluded_token_ids(neighbours: Sequence[Neighbour], mask_slice: slice) -> dict[int, list[int]]:
    """Token ids that a neighbour's last mask may not become, by its row among all masks that `mask_slice` selects."""
    excluded = {}
    row = -1
    for neighbour in neighbours:
        masks = range(len(neighbour.positions))[mask_slice]
        row += len(masks)
        if neighbour.excluded and masks[-1] == len(neighbour.positions) - 1:
            excluded[row] = sorted(neighbour.excluded)
    return excluded


def _exclude(log_p: torch.Tensor, excluded: dict[int, list[int]]) -> torch.Tensor:
    """Renormalise distributions without the excluded tokens of each row; a row with no other token stays as it is."""
    out = log_p.clone() if excluded else log_p
    for row, token_ids in excluded.items():
        remaining = log_p[row].index_fill(0, torch.tensor(token_ids, device=log_p.device), -torch.inf)
        if remaining.isfinite().any():
            out[row] = remaining.log_softmax(0)
    return out
