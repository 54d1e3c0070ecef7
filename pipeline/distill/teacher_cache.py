"""The teacher's cached outputs, read by id: logits in Parquet, hidden states and attention in memory-mapped float16."""

import json
import mmap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from pipeline.compute.batching import Call
from pipeline.errors import InputError
from pipeline.storage.columns import CACHE_INDEX
from pipeline.storage.fingerprint import file_hash, hash64
from pipeline.storage.parquet import concatenate, read_schema, read_table

ARRAYS = ("hidden", "attention")
"""What is stored in arrays beside the index, if it is cached at all."""
COLUMNS = {column.name for column in CACHE_INDEX} - {"logits"}
"""What every index has; logits are optional."""


class TeacherCache:
    """The cache, read by id: a batch is slices of mapped memory.

    Raises InputError naming the file that is missing, damaged, or not the one that its index was written with.
    """

    def __init__(self, folder: Path) -> None:
        self._files = sorted(folder.glob("*.parquet"))
        if not self._files:
            raise InputError(f"{folder}: no teacher cache; run the cache_teacher stage first")
        schemas = {file: _read_schema(file) for file in self._files}
        for file, schema in schemas.items():
            _check_arrays(file, schema.metadata or {})
        metadata = [schema.metadata or {} for schema in schemas.values()]
        self.teachers = {each.get(b"teacher", b"").decode(errors="replace") for each in metadata}
        """Hashes of the teachers that the texts were run through: one, unless folders were mixed."""
        self.kinds = {kind for kind in ARRAYS if all(array_file(file, kind).is_file() for file in self._files)}
        """Which of `logits`, `hidden` and `attention` are cached."""
        without = [file for file, schema in schemas.items() if "logits" not in schema.names]
        if not without:
            self.kinds.add("logits")
        elif len(without) < len(schemas):
            raise InputError(f"{without[0]}: no column 'logits', as others have; run the cache_teacher stage again")
        # The ids and hashes of many texts take memory, and are read where texts are looked up.
        columns = ["tokens", *(f"{kind}_start" for kind in ARRAYS), *(["logits"] if "logits" in self.kinds else [])]
        index = self._read(columns)
        self.tokens = index["tokens"].to_numpy()
        self.logits = np.zeros((len(index), 0), dtype=np.float32)
        if "logits" in self.kinds:
            widths = pc.unique(pc.list_value_length(index["logits"])).to_pylist() or [0]
            if len(widths) > 1:
                raise InputError(f"{folder}: texts with different numbers of logits; run the cache_teacher stage again")
            self.logits = pc.list_flatten(index["logits"]).to_numpy().reshape(len(index), *widths)
        self._starts = {kind: index[f"{kind}_start"].to_numpy() for kind in self.kinds & {*ARRAYS}}
        self._arrays = {kind: [_open_array(array_file(file, kind)) for file in self._files] for kind in self._starts}
        self._first_rows = np.cumsum([0, *(pq.read_metadata(file).num_rows for file in self._files)])

    def _read(self, columns: list[str]) -> pa.Table:
        return concatenate({file: read_table(file, columns, "cache_teacher") for file in self._files}, "cache_teacher")

    def rows(self, ids: pa.Array | Sequence[str]) -> npt.NDArray[np.int64]:
        """Rows of the ids, (ids,). Raises InputError naming the first id that is not cached."""
        found = pc.index_in(pa.array(ids, pa.string()), self._read(["id"])["id"].combine_chunks())
        if found.null_count:
            missing = ids[pc.index(found.is_null(), True).as_py()]
            raise InputError(f"teacher cache: no entry for id {str(missing)!r}; run the cache_teacher stage again")
        rows: npt.NDArray[np.int64] = found.to_numpy().astype(np.int64)
        return rows

    def checked(
        self, rows: npt.NDArray[np.int64], ids: pa.Array | Sequence[str], parts: Iterable[Call]
    ) -> Iterator[Call]:
        """Pass on the texts of these rows; raise InputError naming the first id whose text the teacher has not read."""
        hashes = self._read(["text_hash"])["text_hash"].to_numpy()[rows]
        start = 0
        for texts, pairs in parts:
            different = (hashes[start : start + len(texts)] != text_hashes(texts, pairs)).nonzero()[0]
            if len(different):
                id_ = str(ids[start + int(different[0])])
                raise InputError(
                    f"teacher cache: it has another text for id {id_!r}; run the cache_teacher stage again"
                )
            yield texts, pairs
            start += len(texts)

    def hidden(self, rows: npt.NDArray[np.int64]) -> torch.Tensor:
        """Last hidden states, zero at padding: (rows, longest, width), float16."""
        lengths = self.tokens[rows]
        width = self._arrays["hidden"][0].shape[1]
        out = np.zeros((len(rows), lengths.max(), width), dtype=np.float16)
        for i, (n, (array, start)) in enumerate(zip(lengths, self._stored("hidden", rows), strict=True)):
            out[i, :n] = array[start : start + n]
        unmap(self._arrays["hidden"])
        return torch.from_numpy(out)

    def attention(self, rows: npt.NDArray[np.int64], heads: int) -> torch.Tensor:
        """Last-layer attention probabilities, zero at padding: (rows, heads, longest, longest), float16."""
        lengths = self.tokens[rows]
        out = np.zeros((len(rows), heads, lengths.max(), lengths.max()), dtype=np.float16)
        for i, (n, (array, start)) in enumerate(zip(lengths, self._stored("attention", rows), strict=True)):
            out[i, :, :n, :n] = array[start : start + heads * n * n].reshape(heads, n, n)
        unmap(self._arrays["attention"])
        return torch.from_numpy(out)

    def _stored(self, kind: str, rows: npt.NDArray[np.int64]) -> Iterator[tuple[Any, int]]:
        """The array that holds each row's values, and where they start in it."""
        files = np.searchsorted(self._first_rows, rows, side="right") - 1
        for file, start in zip(files, self._starts[kind][rows], strict=True):
            yield self._arrays[kind][file], int(start)


def array_file(index: Path, kind: str) -> Path:
    """Path of an array, beside its index."""
    return index.with_name(f"{index.stem}.{kind}.npy")


def _read_schema(index: Path) -> pa.Schema:
    """The columns of an index and its metadata. Raises InputError naming the file if it is no index, or damaged."""
    schema = read_schema(index, (), "cache_teacher")
    if not set(schema.names) >= COLUMNS:
        raise InputError(
            f"{index}: not the index of a teacher cache; accepted: a file that the cache_teacher stage wrote"
        )
    return schema


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
    """The array in a file, mapped into memory."""
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


def text_hashes(texts: Sequence[str], pairs: Sequence[str | None] | None) -> npt.NDArray[np.int64]:
    """Hash of each text or pair, (texts,): after a change of tables or params an id can belong to another text."""
    rows = zip(texts, pairs or [None] * len(texts), strict=True)
    return np.array([hash64(json.dumps(row)) for row in rows], dtype=np.int64)
