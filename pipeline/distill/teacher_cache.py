"""The teacher's cached outputs, read by id: logits in Parquet, hidden states and attention in memory-mapped float16."""

import json
import mmap
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch

from pipeline.compute.batching import Call
from pipeline.errors import InputError
from pipeline.storage.columns import CACHE_INDEX
from pipeline.storage.fingerprint import file_hash
from pipeline.storage.parquet import concatenate, read_table

ARRAYS = ("hidden", "attention")
"""What is stored in arrays beside the index, if it is cached at all."""
COLUMNS = {column.name for column in CACHE_INDEX} - {"logits"}
"""What every index has; logits are optional."""


class TeacherCache:
    """The cache, read by id: a batch is slices of mapped memory.

    Raises InputError naming the file that is missing, damaged, or not the one that its index was written with.
    """

    def __init__(self, folder: Path) -> None:
        indices = sorted(folder.glob("*.parquet"))
        if not indices:
            raise InputError(f"{folder}: no teacher cache; run the cache_teacher stage first")
        tables = [read_table(index, (), "cache_teacher") for index in indices]
        for index, table in zip(indices, tables, strict=True):
            if not set(table.column_names) >= COLUMNS:
                raise InputError(
                    f"{index}: not the index of a teacher cache; accepted: a file that the cache_teacher stage wrote"
                )
        self.teachers = {(table.schema.metadata or {}).get(b"teacher", b"").decode() for table in tables}
        """Hashes of the teachers that the texts were run through: one, unless folders were mixed."""
        index = concatenate(dict(zip(indices, tables, strict=True)), "cache_teacher")
        self._ids = index["id"].combine_chunks()
        self.logits = np.zeros((len(index), 0), dtype=np.float32)
        self.kinds: set[str] = set()
        """Which of `logits`, `hidden` and `attention` are cached."""
        if "logits" in index.column_names:
            widths = pc.unique(pc.list_value_length(index["logits"])).to_pylist() or [0]
            if len(widths) > 1:
                raise InputError(f"{folder}: texts with different numbers of logits; run the cache_teacher stage again")
            self.logits = pc.list_flatten(index["logits"]).to_numpy().reshape(len(index), *widths)
            self.kinds.add("logits")
        self.tokens = index["tokens"].to_numpy()
        self._text_hash = index["text_hash"].to_numpy()
        self._hidden_start = index["hidden_start"].to_numpy()
        self._attention_start = index["attention_start"].to_numpy()
        self._shard = np.repeat(np.arange(len(tables), dtype=np.int32), [len(table) for table in tables])
        for file, table in zip(indices, tables, strict=True):
            _check_arrays(file, table.schema.metadata or {})
        self._hidden = [_open_array(array_file(file, "hidden")) for file in indices]
        self._attention = [_open_array(array_file(file, "attention")) for file in indices]
        for kind, arrays in (("hidden", self._hidden), ("attention", self._attention)):
            if all(array is not None for array in arrays):
                self.kinds.add(kind)

    def rows(self, ids: pa.Array | Sequence[str]) -> npt.NDArray[np.int64]:
        """Rows of the ids, (ids,). Raises InputError naming the first id that is not cached."""
        found = pc.index_in(pa.array(ids, pa.string()), self._ids)
        if found.null_count:
            missing = ids[pc.index(found.is_null(), True).as_py()]
            raise InputError(f"teacher cache: no entry for id {str(missing)!r}; run the cache_teacher stage again")
        rows: npt.NDArray[np.int64] = found.to_numpy().astype(np.int64)
        return rows

    def check_texts(self, rows: npt.NDArray[np.int64], ids: pa.Array | Sequence[str], parts: Iterable[Call]) -> None:
        """Raise InputError naming the first id whose text is not the one that the teacher read."""
        start = 0
        for texts, pairs in parts:
            hashes = np.array(text_hashes(texts, pairs), dtype=np.int64)
            different = (self._text_hash[rows[start : start + len(texts)]] != hashes).nonzero()[0]
            if len(different):
                id_ = str(ids[start + int(different[0])])
                raise InputError(
                    f"teacher cache: it has another text for id {id_!r}; run the cache_teacher stage again"
                )
            start += len(texts)

    def hidden(self, rows: npt.NDArray[np.int64]) -> torch.Tensor:
        """Last hidden states, zero at padding: (rows, longest, width), float16."""
        lengths = self.tokens[rows]
        width = self._hidden[self._shard[rows[0]]].shape[1]
        out = np.zeros((len(rows), lengths.max(), width), dtype=np.float16)
        for i, (row, n) in enumerate(zip(rows, lengths, strict=True)):
            start = self._hidden_start[row]
            out[i, :n] = self._hidden[self._shard[row]][start : start + n]
        unmap(self._hidden)
        return torch.from_numpy(out)

    def attention(self, rows: npt.NDArray[np.int64], heads: int) -> torch.Tensor:
        """Last-layer attention probabilities, zero at padding: (rows, heads, longest, longest), float16."""
        lengths = self.tokens[rows]
        out = np.zeros((len(rows), heads, lengths.max(), lengths.max()), dtype=np.float16)
        for i, (row, n) in enumerate(zip(rows, lengths, strict=True)):
            start = self._attention_start[row]
            flat = self._attention[self._shard[row]][start : start + heads * n * n]
            out[i, :, :n, :n] = flat.reshape(heads, n, n)
        unmap(self._attention)
        return torch.from_numpy(out)


def array_file(index: Path, kind: str) -> Path:
    """Path of an array, beside its index."""
    return index.with_name(f"{index.stem}.{kind}.npy")


def _check_arrays(index: Path, metadata: dict[bytes, bytes]) -> None:
    """Raise InputError naming the file that is not what it was when the index was written.

    An index without these metadata, as one made by hand, is accepted.
    """
    if b"piece" not in metadata:
        return
    if metadata[b"piece"] != index.stem.encode():
        name = metadata[b"piece"].decode(errors="replace")
        raise InputError(f"{index}: its metadata names {name}; run the cache_teacher stage again")
    for kind in ARRAYS:
        file = array_file(index, kind)
        # The hash covers the header too, so that shape and dtype need no check of their own.
        if file.is_file() and file_hash(file) != metadata.get(kind.encode(), b"").decode(errors="replace"):
            raise InputError(f"{file}: damaged, or of another piece; run the cache_teacher stage again")


def _open_array(path: Path) -> Any:
    """The array in a file, mapped into memory; None if there is no such file."""
    if not path.is_file():
        return None
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(
            f"{path}: not a NumPy array, or damaged ({error}); run the cache_teacher stage again"
        ) from error


def unmap(arrays: Iterable[Any]) -> None:
    """Unmap pages that were read or written: they stay in the system's page cache, but not in this process's memory."""
    if hasattr(mmap, "MADV_DONTNEED"):
        for array in arrays:
            array._mmap.madvise(mmap.MADV_DONTNEED)


def text_hashes(texts: Sequence[str], pairs: Sequence[str | None] | None) -> list[int]:
    """64-bit hash of each text or pair: after a change of tables or params an id can belong to another text."""
    rows = zip(texts, pairs or [None] * len(texts), strict=True)
    encoded = (json.dumps(row).encode() for row in rows)
    return [int.from_bytes(blake2b(row, digest_size=8).digest(), "little", signed=True) for row in encoded]
