"""Batches without waste: texts of like length together, padded to the longest of the batch only."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedTokenizerFast

Batch = dict[str, torch.Tensor]
Rows = npt.NDArray[np.int64]
AT_ONCE = 4096
"""Texts that a tokenizer is given: until it is done it holds kilobytes of each, offsets and pieces as written."""


@dataclass(frozen=True)
class Encoded:
    """Token ids of many texts, without padding."""

    ids: list[npt.NDArray[np.int32]]
    """Of each text, its tokens."""
    types: list[npt.NDArray[np.int32]] | None
    """Of each token, 0 in the first text of a pair and 1 in the second, if the model wants to know."""
    fill: int
    """The padding token."""

    def __len__(self) -> int:
        """Count the texts."""
        return len(self.ids)

    @property
    def lengths(self) -> Rows:
        """Tokens of each text."""
        return np.array([len(row) for row in self.ids], dtype=np.int64)


def encode(tokenizer: PreTrainedTokenizerFast, texts: list[str], pairs: list[str] | None, max_length: int) -> Encoded:
    """Turn texts or pairs into token ids with special tokens; what is longer than `max_length` tokens is cut.

    Of a pair the longer text is cut first.
    """
    typed = pairs is not None and "token_type_ids" in tokenizer.model_input_names
    if not texts:
        return Encoded([], [] if typed else None, tokenizer.pad_token_id)
    ids: list[npt.NDArray[np.int32]] = []
    types: list[npt.NDArray[np.int32]] = []
    for start in range(0, len(texts), AT_ONCE):
        given = tokenizer(
            texts[start : start + AT_ONCE],
            pairs[start : start + AT_ONCE] if pairs is not None else None,
            truncation="longest_first",
            max_length=max_length,
            return_attention_mask=False,
            return_token_type_ids=typed,
        )
        ids += [np.array(row, dtype=np.int32) for row in given["input_ids"]]
        types += [np.array(row, dtype=np.int32) for row in given["token_type_ids"]] if typed else []
    return Encoded(ids, types if typed else None, tokenizer.pad_token_id)


def collate(encoded: Encoded, rows: Sequence[int] | Rows) -> Batch:
    """Pad the texts at `rows` to the longest of them: a model's inputs by name, int64, each (rows, longest)."""
    tokens, attention = padded([encoded.ids[row] for row in rows], encoded.fill)
    batch = {"input_ids": tokens, "attention_mask": attention}
    if encoded.types is not None:
        batch["token_type_ids"], _ = padded([encoded.types[row] for row in rows], 0)
    return batch


def padded(rows: Sequence[Sequence[int] | npt.NDArray[np.int32]], fill: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pad rows of token ids to the longest: tokens and attention mask, int64, both (rows, longest)."""
    lengths = np.array([len(row) for row in rows])
    inside = np.arange(lengths.max()) < lengths[:, None]
    tokens = np.full(inside.shape, fill, dtype=np.int64)
    tokens[inside] = np.concatenate([np.asarray(row, dtype=np.int64) for row in rows])
    return torch.from_numpy(tokens), torch.from_numpy(inside.astype(np.int64))


def length_batches(
    lengths: Sequence[int] | Rows,
    *,
    tokens: int | None = None,
    size: int | None = None,
    rng: np.random.Generator | None = None,
) -> list[Rows]:
    """Split rows into batches of like length, every row in one of them.

    Args:
        tokens: for inference: batches of at most so many tokens, padding included, the longest first, so that memory
            that does not suffice shows at once. A text longer than that is a batch of its own.
        size: for an epoch of training: batches of so many rows, but for one that holds the rest, in random order.
        rng: with `size`, draws the order.
    """
    lengths = np.asarray(lengths, dtype=np.int64)
    if tokens is not None:
        return _within_budget(lengths, tokens)
    if size is None or rng is None:
        raise ValueError("length_batches takes tokens, or size and rng")
    return _shuffled(lengths, size, rng)


def _within_budget(lengths: Rows, tokens: int) -> list[Rows]:
    order = np.argsort(-lengths, kind="stable")
    batches = []
    start = 0
    while start < len(order):
        size = max(1, tokens // max(1, int(lengths[order[start]])))
        batches.append(order[start : start + size])
        start += size
    return batches


def _shuffled(lengths: Rows, size: int, rng: np.random.Generator) -> list[Rows]:
    """Shuffle rows, sort them by length within a window, and serve the batches in random order.

    A window is at most 32 batches and a quarter of the rows: few rows would else be in the same batches every epoch.
    """
    window = size * min(32, max(1, len(lengths) // (4 * size)))
    shuffled = rng.permutation(len(lengths))
    batches = []
    for start in range(0, len(shuffled), window):
        rows = shuffled[start : start + window]
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        batches += [rows[first : first + size] for first in range(0, len(rows), size)]
    return [batches[i] for i in rng.permutation(len(batches))]
