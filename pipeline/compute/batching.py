"""Batches with little padding: texts of similar length together, padded to the longest of the batch."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch
    from transformers import BatchEncoding, PreTrainedTokenizerFast

Inputs: TypeAlias = "dict[str, torch.Tensor]"
"""A padded batch of texts, as a model takes it."""
Rows = npt.NDArray[np.int64]
Row: TypeAlias = Sequence[int] | npt.NDArray[np.integer]
Call: TypeAlias = tuple[list[str], list[str] | None]
"""Texts, or pairs of texts, for one call of the tokenizer."""
TOKENS = 2048
"""Tokens of a batch, padding included: on a processor more are no faster, and they take memory."""
TEXTS_PER_CALL = 4096
"""Texts in one call of the tokenizer, which holds kilobytes a text (offsets, pieces) until it returns."""


@dataclass(frozen=True)
class Ragged:
    """Rows of different lengths, one after the other in a single array: an array for each would take as much again."""

    values: npt.NDArray[np.integer]
    """(values of all rows,)."""
    starts: Rows
    """Where each row starts, and where the last one ends: (rows + 1,)."""

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.starts) - 1

    def __getitem__(self, row: int) -> npt.NDArray[np.integer]:
        """A row, not copied."""
        return self.values[self.starts[:-1][row] : self.starts[1:][row]]

    @property
    def lengths(self) -> Rows:
        """Number of values of each row, (rows,)."""
        return np.diff(self.starts)

    def take(self, rows: Rows) -> "Ragged":
        """Some rows, copied."""
        return Ragged(np.concatenate([self.values[:0], *(self[row] for row in rows)]), row_starts(self.lengths[rows]))


@dataclass(frozen=True)
class Encoded:
    """Token ids of many texts, without padding."""

    input_ids: Ragged
    """Token ids, uint16 or int32."""
    token_type_ids: Ragged | None
    """For each token 0 in the first text of a pair and 1 in the second; None if texts are single or the model has no
    token types."""
    pad_token_id: int

    def __len__(self) -> int:
        """Count the texts."""
        return len(self.input_ids)

    @property
    def lengths(self) -> Rows:
        """Number of tokens of each text, (texts,)."""
        return self.input_ids.lengths


def calls(texts: list[str], pairs: list[str] | None) -> Iterator[Call]:
    """Split texts or pairs into those of single calls of the tokenizer."""
    for start in range(0, len(texts), TEXTS_PER_CALL):
        part = slice(start, start + TEXTS_PER_CALL)
        yield texts[part], None if pairs is None else pairs[part]


def encode(tokenizer: "PreTrainedTokenizerFast", texts: list[str], pairs: list[str] | None, max_length: int) -> Encoded:
    """Tokenize texts or pairs as `tokenize` does, and keep the ids."""
    return encode_calls(tokenizer, calls(texts, pairs), max_length)


def encode_calls(tokenizer: "PreTrainedTokenizerFast", parts: Iterable[Call], max_length: int) -> Encoded:
    """Tokenize texts or pairs that need not be in memory at once, and keep the ids."""
    # Arrays of this kind grow in place. The ids of most vocabularies fit into two bytes.
    tokens, types, lengths = array("H"), array("B"), array("q")
    with_types = False
    for texts, pairs in parts:
        with_types = pairs is not None and "token_type_ids" in tokenizer.model_input_names
        encoding = tokenize(tokenizer, texts, pairs, max_length, return_token_type_ids=with_types)
        lengths.extend(map(len, encoding["input_ids"]))
        ids = list(chain.from_iterable(encoding["input_ids"]))
        if tokens.typecode == "H" and max(ids, default=0) >= 2**16:
            tokens = array("i", tokens)
        tokens.extend(ids)
        if with_types:
            types.extend(chain.from_iterable(encoding["token_type_ids"]))
    starts = row_starts(lengths)
    token_type_ids = Ragged(np.asarray(types), starts) if with_types else None
    return Encoded(Ragged(np.asarray(tokens), starts), token_type_ids, tokenizer.pad_token_id)


def row_starts(lengths: Sequence[int] | Rows) -> Rows:
    """Where rows of these lengths start, and where the last one ends: (rows + 1,)."""
    starts = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=starts[1:])
    return starts


def tokenize(
    tokenizer: "PreTrainedTokenizerFast", texts: list[str], pairs: list[str] | None, max_length: int, **options: Any
) -> "BatchEncoding":
    """Tokenize at most `TEXTS_PER_CALL` texts or pairs with special tokens.

    They are truncated to `max_length` tokens, of a pair the longer text first.

    Args:
        options: what the tokenizer returns besides the ids.
    """
    encoding: BatchEncoding = tokenizer(
        texts, pairs, truncation="longest_first", max_length=max_length, return_attention_mask=False, **options
    )
    return encoding


def collate(encoded: Encoded, rows: Sequence[int] | Rows, device: "torch.device | None" = None) -> Inputs:
    """Pad the texts of these rows to the longest: a model's inputs by name, int64, each (rows, tokens)."""
    tokens, attention = pad([encoded.input_ids[row] for row in rows], encoded.pad_token_id)
    inputs = {"input_ids": tokens, "attention_mask": attention}
    if encoded.token_type_ids is not None:
        inputs["token_type_ids"], _ = pad([encoded.token_type_ids[row] for row in rows], 0)
    return inputs if device is None else {name: tensor.to(device) for name, tensor in inputs.items()}


def pad(rows: Sequence[Row], fill: int) -> "tuple[torch.Tensor, torch.Tensor]":
    """Pad rows of token ids to the longest with `fill`: tokens and attention mask, int64, both (rows, tokens)."""
    # Imported here, because services without torch batch texts, too.
    import torch

    tokens, inside = pad_arrays(rows, fill)
    return torch.from_numpy(tokens), torch.from_numpy(inside)


def pad_arrays(rows: Sequence[Row], fill: int) -> tuple[Rows, Rows]:
    """Pad as `pad` does, without torch."""
    lengths = np.array([len(row) for row in rows])
    inside = np.arange(lengths.max()) < lengths[:, None]
    tokens = np.full(inside.shape, fill, dtype=np.int64)
    tokens[inside] = np.concatenate([np.asarray(row, dtype=np.int64) for row in rows])
    return tokens, inside.astype(np.int64)


def budget_batches(lengths: Sequence[int] | Rows, tokens: int) -> list[Rows]:
    """Split rows into batches of similar length for inference; every row is in one batch.

    The longest texts come first, so that a lack of memory shows at once.

    Args:
        tokens: the most tokens of a batch, padding included; a longer text is a batch of its own.
    """
    lengths = np.asarray(lengths, dtype=np.int64)
    order = np.argsort(-lengths, kind="stable")
    batches = []
    start = 0
    while start < len(order):
        size = max(1, tokens // max(1, int(lengths[order[start]])))
        batches.append(order[start : start + size])
        start += size
    return batches


def epoch_batches(lengths: Rows, size: int, rng: np.random.Generator) -> list[Rows]:
    """Split rows into batches of similar length for an epoch of training, in random order; every row is in one batch.

    Rows are shuffled, and sorted by length within a window of at most 32 batches and a quarter of the rows: otherwise a
    small dataset would have the same batches in every epoch.

    Args:
        size: rows of a batch; one batch may have fewer.
    """
    window = size * min(32, max(1, len(lengths) // (4 * size)))
    shuffled = rng.permutation(len(lengths))
    batches = []
    for start in range(0, len(shuffled), window):
        rows = shuffled[start : start + window]
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        batches += [rows[first : first + size] for first in range(0, len(rows), size)]
    return [batches[i] for i in rng.permutation(len(batches))]
