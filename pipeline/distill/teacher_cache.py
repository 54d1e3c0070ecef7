"""What the teacher says and thinks of each text, read by id: logits in Parquet, states in memory-mapped float16."""

import json
import mmap
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pipeline.errors import InputError
from pipeline.storage.fingerprint import file_hash
from pipeline.storage.parquet import concatenated, read_table

ARRAYS = ("hidden", "attention")
"""The kinds of what is kept in arrays."""


class TeacherCache:
    """The cache, read by id: a batch is slices of mapped memory.

    Raises InputError naming the file that is missing, damaged, or not what its piece's index vouches for.
    """

    def __init__(self, folder: Path) -> None:
        indices = sorted(folder.glob("*.parquet"))
        if not indices:
            raise InputError(f"{folder}: no teacher cache; run the cache_teacher stage first")
        tables = [read_table(index, (), "cache_teacher") for index in indices]
        for index, table in zip(indices, tables, strict=True):
            if not {"id", "text_hash", "tokens", "hidden_start", "attention_start"} <= set(table.column_names):
                raise InputError(f"{index}: no index of a teacher cache; accepted: what the cache_teacher stage leaves")
        self.teachers = {(table.schema.metadata or {}).get(b"teacher", b"").decode() for table in tables}
        whole = concatenated(dict(zip(indices, tables, strict=True)), "cache_teacher")
        ids = whole["id"].to_pylist()
        self._row = {id_: row for row, id_ in enumerate(ids)}
        self.logits = np.zeros((len(ids), 0), dtype=np.float32)
        self.kinds: set[str] = set()
        if "logits" in whole.column_names:
            try:
                self.logits = np.array(whole["logits"].to_pylist(), dtype=np.float32)
            except ValueError:
                raise InputError(
                    f"{folder}: not as many logits for every text; run the cache_teacher stage again"
                ) from None
            self.kinds.add("logits")
        self.tokens = whole["tokens"].to_numpy()
        self._text_hash = whole["text_hash"].to_numpy()
        self._hidden_start = whole["hidden_start"].to_numpy()
        self._attention_start = whole["attention_start"].to_numpy()
        self._shard = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
        for index, table in zip(indices, tables, strict=True):
            _check_piece(index, table.schema.metadata or {})
        self._hidden = [_mapped(array_file(index, "hidden")) for index in indices]
        self._attention = [_mapped(array_file(index, "attention")) for index in indices]
        for kind, found in (("hidden", self._hidden), ("attention", self._attention)):
            if all(array is not None for array in found):
                self.kinds.add(kind)

    def rows(self, ids: Sequence[str]) -> npt.NDArray[np.int64]:
        """Where the ids stand. Raises InputError naming the first id that is not cached."""
        try:
            return np.array([self._row[id_] for id_ in ids], dtype=np.int64)
        except KeyError as missing:
            raise InputError(f"teacher cache: no entry for id {missing}; run the cache_teacher stage again") from None

    def check_texts(
        self, rows: npt.NDArray[np.int64], ids: Sequence[str], texts: Sequence[str], pairs: Sequence[str | None] | None
    ) -> None:
        """Raise InputError naming the first id that stood for another text when the teacher read it."""
        other = (self._text_hash[rows] != np.array(text_hashes(texts, pairs), dtype=np.int64)).nonzero()[0]
        if len(other):
            raise InputError(
                f"teacher cache: it has another text for id {ids[other[0]]!r}; run the cache_teacher stage again"
            )

    def hidden(self, rows: npt.NDArray[np.int64]) -> torch.Tensor:
        """Last hidden states, zero at padding: (rows, longest, width), float16."""
        lengths = self.tokens[rows]
        width = self._slab(self._hidden, rows[0]).shape[1]
        out = np.zeros((len(rows), lengths.max(), width), dtype=np.float16)
        for order, (row, n) in enumerate(zip(rows, lengths, strict=True)):
            start = self._hidden_start[row]
            out[order, :n] = self._slab(self._hidden, row)[start : start + n]
        _let_go(self._hidden)
        return torch.from_numpy(out)

    def attention(self, rows: npt.NDArray[np.int64], heads: int) -> torch.Tensor:
        """Last-layer attention probabilities, zero at padding: (rows, heads, longest, longest), float16."""
        lengths = self.tokens[rows]
        out = np.zeros((len(rows), heads, lengths.max(), lengths.max()), dtype=np.float16)
        for order, (row, n) in enumerate(zip(rows, lengths, strict=True)):
            start = self._attention_start[row]
            flat = self._slab(self._attention, row)[start : start + heads * n * n]
            out[order, :, :n, :n] = flat.reshape(heads, n, n)
        _let_go(self._attention)
        return torch.from_numpy(out)

    def _slab(self, arrays: list[Any], row: int) -> Any:
        return arrays[self._shard[row]]


def array_file(index: Path, kind: str) -> Path:
    """Where an array of a piece lies, beside its index."""
    return index.with_name(f"{index.stem}.{kind}.npy")


def _check_piece(index: Path, metadata: dict[bytes, bytes]) -> None:
    """Raise InputError naming the file of a piece that is not the one which was written; made by hand, any is."""
    if b"piece" not in metadata:
        return
    if metadata[b"piece"] != index.stem.encode():
        named = metadata[b"piece"].decode(errors="replace")
        raise InputError(f"{index}: its metadata names {named}; run the cache_teacher stage again")
    for kind in ARRAYS:
        file = array_file(index, kind)
        # The header, too, is part of the hash: shape and dtype need no look of their own.
        if file.is_file() and file_hash(file) != metadata.get(kind.encode(), b"").decode(errors="replace"):
            raise InputError(f"{file}: damaged, or of another piece; run the cache_teacher stage again")


def _mapped(path: Path) -> Any:
    """The array in a file, mapped into memory; None if the file is not there."""
    if not path.is_file():
        return None
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(
            f"{path}: not a NumPy array, or damaged ({error}); run the cache_teacher stage again"
        ) from None


def _let_go(arrays: Sequence[Any]) -> None:
    """Unmap what has been read: the kernel still has it, but it no longer counts as memory of this process."""
    if hasattr(mmap, "MADV_DONTNEED"):
        for array in arrays:
            array._mmap.madvise(mmap.MADV_DONTNEED)


def text_hashes(texts: Sequence[str], pairs: Sequence[str | None] | None) -> list[int]:
    """64 bits of each text or pair: an id may stand for another text once its table or shards have changed."""
    rows = zip(texts, pairs or [None] * len(texts), strict=True)
    said = (json.dumps(row).encode() for row in rows)
    return [int.from_bytes(blake2b(row, digest_size=8).digest(), "little", signed=True) for row in said]
