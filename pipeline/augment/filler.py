"""The masked language model fills the masks of neighbours with words (Eq. 12)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.augment.case import is_uncased
from pipeline.augment.neighbour import Neighbour
from pipeline.augment.words import (
    draw_words,
    log_p_words,
    pieces_by_script,
    pool_masks,
    token_text,
    uniform_over_top,
    whole_words,
)
from pipeline.compute import distributed
from pipeline.compute.batching import TOKENS, budget_batches, pad
from pipeline.compute.precision import precision
from pipeline.errors import InputError
from pipeline.models.forward_shortcuts import head_only_at
from pipeline.models.loading import load_masked_lm
from pipeline.params.schema import Params

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
        self.uncased = is_uncased(tokenizer)
        self.temperature = params.temperature
        self.sequential = params.augment.fill == "sequential"
        allowed = whole_words(tokenizer).to(self.device)
        self.allowed = {"": allowed}
        """By script, which tokens may take the place of words: (vocabulary,)."""
        allowed_ids = allowed.nonzero().squeeze(1).tolist()
        self.whole_words = {token_text(tokenizer, token_id): token_id for token_id in allowed_ids}

    def fill(self, unfilled: Sequence[Neighbour]) -> None:
        """Write words and their log-probability into neighbours whose positions are drawn."""
        lengths = np.array([len(neighbour.encode(0)[0]) for neighbour in unfilled])
        for rows in budget_batches(lengths, TOKENS):
            batch = [unfilled[row] for row in rows]
            steps = max(len(neighbour.positions) for neighbour in batch) if self.sequential else 1
            for step in range(steps):
                masked = [neighbour for neighbour in batch if len(neighbour.positions) > step]
                if masked:
                    self._fill_masks(masked, slice(step, step + 1) if self.sequential else slice(None))

    def distributions(self, unfilled: Sequence[Neighbour]) -> torch.Tensor:
        """log P(w | d, o, x) at all positions of the neighbours (Eq. 12), in one forward pass: (positions, vocabulary).

        The positions are those of the first neighbour, then of the second, and so on.
        """
        scripts = [script for neighbour in unfilled for script in neighbour.scripts()]
        return self._log_p(*self._logits(unfilled, slice(None)), scripts)

    def token_ids(self, script: str) -> Mapping[str, int]:
        """The token ids, by text, of what may take the place of a word of this script."""
        return pieces_by_script(self.tokenizer)[script] if script else self.whole_words

    def _allowed(self, scripts: Sequence[str]) -> torch.Tensor:
        """Which tokens may take the place of words: (vocabulary,), or (words, vocabulary) if any has a script."""
        whole = self.allowed[""]
        if not any(scripts):
            return whole
        for script in set(scripts) - self.allowed.keys():
            token_ids = torch.tensor(list(self.token_ids(script).values()), device=self.device)
            self.allowed[script] = torch.zeros_like(whole).index_fill(0, token_ids, value=True)
        return torch.stack([self.allowed[script] for script in scripts])

    def _logits(self, neighbours: Sequence[Neighbour], selected: slice) -> tuple[torch.Tensor, torch.Tensor]:
        """The model's outputs for the positions of each neighbour that `selected` selects: (positions, outputs).

        Words that the neighbours already have are in the text; all others are masked. If a word changes in several
        places, its outputs are those of `pool_masks`.

        Returns as well the token that each position's word was, −1 where it had several or its outputs rule it out:
        (positions,).
        """
        encoded = [neighbour.encode(self.tokenizer.mask_token_id) for neighbour in neighbours]
        token_ids, attention_mask = pad([row for row, _ in encoded], self.tokenizer.pad_token_id)
        inputs = {"input_ids": token_ids, "attention_mask": attention_mask}
        if "token_type_ids" in self.tokenizer.model_input_names:
            inputs["token_type_ids"] = pad([row for _, row in encoded], 0)[0]
        masked = torch.zeros_like(token_ids, dtype=torch.bool)
        old: list[int] = []
        places: list[list[int]] = []
        for row, neighbour in enumerate(neighbours):
            positions = range(len(neighbour.positions))[selected]
            first = len(places) - positions.start
            places += [[] for _ in positions]
            tokens = []
            words = zip(
                neighbour.changed_words(), neighbour.masks(), neighbour.old_token_ids(self.token_ids), strict=True
            )
            for (_, index), token, old_token_id in words:
                if index in positions:
                    places[first + index].append(len(old))
                    tokens.append(token)
                    old.append(old_token_id)
            masked[row, tokens] = True
        with precision(self.device), head_only_at(self.model, masked.to(self.device)):
            logits: torch.Tensor = self.model(**{name: value.to(self.device) for name, value in inputs.items()}).logits
        old_token_ids = torch.tensor(old, device=self.device)
        if len(places) == len(old):
            return logits, old_token_ids
        return pool_masks(logits, old_token_ids, places), old_token_ids.new_full((len(places),), -1)

    def _log_p(self, logits: torch.Tensor, old: torch.Tensor, scripts: Sequence[str]) -> torch.Tensor:
        log_p = log_p_words(logits, temperature=self.temperature, allowed=self._allowed(scripts), old=old)
        return log_p if self.candidates is None else uniform_over_top(log_p, self.candidates)

    @torch.inference_mode()
    def _fill_masks(self, neighbours: Sequence[Neighbour], selected: slice) -> None:
        """Draw words for the positions that `selected` selects of each neighbour, in one forward pass."""
        logits, old = self._logits(neighbours, selected)
        quantiles = torch.tensor(
            [quantile for neighbour in neighbours for quantile in neighbour.quantiles[selected]], device=self.device
        )
        scripts = [script for neighbour in neighbours for script in neighbour.scripts()[selected]]
        excluded = _excluded_token_ids(neighbours, selected)
        new_token_ids: list[int] = []
        log_probs: list[float] = []
        # On a CPU a few rows of the vocabulary at a time, which stay in its cache.
        size = CACHED_ROWS if self.device.type == "cpu" else len(logits)
        for first in range(0, len(logits), size):
            rows = slice(first, first + size)
            log_p = self._log_p(logits[rows], old[rows], scripts[rows])
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
            for _ in neighbour.positions[selected]:
                token_id, log_prob = next(filled)
                neighbour.new_token_ids.append(token_id)
                neighbour.log_p_words += log_prob


def _excluded_token_ids(neighbours: Sequence[Neighbour], selected: slice) -> dict[int, list[int]]:
    """Token ids that a neighbour's last word may not have, by its row among all positions that `selected` selects."""
    excluded = {}
    row = -1
    for neighbour in neighbours:
        positions = range(len(neighbour.positions))[selected]
        row += len(positions)
        if neighbour.excluded and positions[-1] == len(neighbour.positions) - 1:
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
