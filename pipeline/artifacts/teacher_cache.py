"""What the teacher says and thinks of every text: logits in Parquet, states unpadded in memory-mapped float16."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline import models
from pipeline.agreement import check_length
from pipeline.artifacts.augmented import DOMAINS
from pipeline.artifacts.fingerprint import code_hash, fingerprint, folder_hash
from pipeline.artifacts.publishing import publish_folder
from pipeline.artifacts.workcache import finish, is_finished, link_or_copy, work_folder
from pipeline.batching import collate, encode, length_batches
from pipeline.data.texts import read_texts
from pipeline.errors import InputError
from pipeline.params import Params
from pipeline.progress import track
from pipeline.states import forward

BATCH_TOKENS = 2048
"""Pieces in one pass: enough to fill two cores, little enough to stay in their caches."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Texts cached together: one shard of neighbours, or of a domain's originals."""

    name: str
    ids: list[str]
    texts: list[str]
    pairs: list[str] | None


def cache_teacher(params: Params, *, prepared: Path, augmented: Path, teacher: Path, out: Path) -> str:
    """Run the teacher once over all neighbours, and over the originals that are imitated too.

    Pieces already cached for the same teacher and texts are taken from the work cache. Returns what was made, in a
    few words.
    """
    kinds = [".parquet", *([".hidden.npy"] if params.cache.hidden else [])]
    kinds += [".attention.npy"] if params.cache.attention else []
    tokenizer = models.load_tokenizer(teacher, "teacher")
    check_length(params.max_length, tokenizer, models.load_config(teacher, "teacher"), "the teacher")
    folder = work_folder(
        "cache_teacher",
        fingerprint(
            code=code_hash("artifacts/teacher_cache.py", "batching.py", "states.py"),
            teacher=folder_hash(teacher),
            max_length=params.max_length,
            cache=params.cache.model_dump(),
        ),
    )
    model: PreTrainedModel | None = None
    texts = 0
    made: list[tuple[Path, str]] = []
    for piece in track(list(_pieces(params, prepared, augmented)), "cache", unit="shard"):
        stem = fingerprint(ids=piece.ids, texts=piece.texts, pairs=piece.pairs)
        files = [folder / f"{stem}{kind}" for kind in kinds]
        if not all(is_finished(file) for file in files):
            if model is None:
                model = models.load_classifier(teacher, "teacher").to(models.device())
            write_piece(model, tokenizer, piece, folder / stem, params)
        made += [(file, f"{piece.name}{kind}") for file, kind in zip(files, kinds, strict=True)]
        texts += len(piece.ids)
    with publish_folder(out) as published:
        for file, name in made:
            link_or_copy(file, published / name)
    size = sum(file.stat().st_size for file, _ in made)
    return f"{texts:,} texts with {', '.join(_kept(params))}, {size / 1e6:,.0f} MB, in {out}"


def _kept(params: Params) -> list[str]:
    return ["logits", *(name for name in ("hidden", "attention") if getattr(params.cache, name))]


def _pieces(params: Params, prepared: Path, augmented: Path) -> Iterator[Piece]:
    shards = sorted(augmented.glob("*.parquet"))
    if not shards:
        raise InputError(f"{augmented}: no shards; run the augment stage first")
    for shard in shards:
        table = pq.read_table(shard, columns=["id", "text", "text_pair"])
        pairs = table["text_pair"].to_pylist()
        yield Piece(
            shard.stem,
            table["id"].to_pylist(),
            table["text"].to_pylist(),
            None if None in pairs or not pairs else pairs,
        )
    for domain in params.distill.originals:
        originals = read_texts(prepared / DOMAINS[domain])
        number = params.augment.shards if domain == "source" else 1
        for shard_ in range(number):
            rows = range(shard_, len(originals), number)
            yield Piece(
                f"{domain}-originals-{shard_:05d}-of-{number:05d}",
                [originals.ids[i] for i in rows],
                [originals.texts[i] for i in rows],
                None if originals.pairs is None else [originals.pairs[i] for i in rows],
            )


@torch.inference_mode()
def write_piece(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, piece: Piece, stem: Path, params: Params
) -> None:
    """Run the teacher over a piece and write `stem`.parquet, `stem`.hidden.npy and `stem`.attention.npy.

    The index holds, for each id, its logits, its number of pieces n, and where its n rows of hidden states (n, width)
    and its attention (heads, n, n) begin in the arrays.
    """
    config = model.config
    encoded = encode(tokenizer, piece.texts, piece.pairs, params.max_length)
    lengths = encoded.lengths
    hidden_start = np.concatenate([[0], lengths.cumsum()])
    attention_start = np.concatenate([[0], (config.num_attention_heads * lengths**2).cumsum()])
    logits = np.zeros((len(lengths), config.num_labels), dtype=np.float32)
    hidden = np.zeros((hidden_start[-1] if params.cache.hidden else 0, config.hidden_size), dtype=np.float16)
    attention = np.zeros(attention_start[-1] if params.cache.attention else 0, dtype=np.float16)
    place = models.device()
    model.eval()
    for rows in length_batches(lengths, tokens=BATCH_TOKENS):
        inputs = {name: tensor.to(place) for name, tensor in collate(encoded, rows).items()}
        states = forward(model, inputs, hidden=params.cache.hidden, attention=params.cache.attention)
        logits[rows] = states.logits.float().cpu().numpy()
        states_half = None if states.hidden is None else states.hidden.half().cpu().numpy()
        attention_half = None if states.attention is None else states.attention.half().cpu().numpy()
        for order, row in enumerate(rows):
            n = lengths[row]
            if states_half is not None:
                hidden[hidden_start[row] : hidden_start[row + 1]] = states_half[order, :n]
            if attention_half is not None:
                attention[attention_start[row] : attention_start[row + 1]] = attention_half[order, :, :n, :n].ravel()
    arrays = ((".hidden.npy", params.cache.hidden, hidden), (".attention.npy", params.cache.attention, attention))
    for kind, wanted, array in arrays:
        if wanted:
            with finish(stem.with_name(stem.name + kind)) as temporary, temporary.open("wb") as file:
                np.save(file, array, allow_pickle=False)
    index = pa.table(
        {
            "id": pa.array(piece.ids, pa.string()),
            "logits": pa.array(list(logits), pa.list_(pa.float32())),
            "tokens": lengths,
            "hidden_start": hidden_start[:-1],
            "attention_start": attention_start[:-1],
        }
    )
    with finish(stem.with_name(f"{stem.name}.parquet")) as temporary:
        pq.write_table(index, temporary, compression="zstd")


class TeacherCache:
    """The cache, read by id: a batch is slices of mapped memory."""

    def __init__(self, folder: Path) -> None:
        indices = sorted(folder.glob("*.parquet"))
        if not indices:
            raise InputError(f"{folder}: no teacher cache; run the cache_teacher stage first")
        tables = [pq.read_table(index) for index in indices]
        whole = pa.concat_tables(tables)
        ids = whole["id"].to_pylist()
        self._row = {id_: row for row, id_ in enumerate(ids)}
        self.logits = np.array(whole["logits"].to_pylist(), dtype=np.float32)
        self.tokens = whole["tokens"].to_numpy()
        self._hidden_start = whole["hidden_start"].to_numpy()
        self._attention_start = whole["attention_start"].to_numpy()
        self._shard = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
        self._hidden = [_mapped(index.with_name(f"{index.stem}.hidden.npy")) for index in indices]
        self._attention = [_mapped(index.with_name(f"{index.stem}.attention.npy")) for index in indices]
        self.has_hidden = all(array is not None for array in self._hidden)
        self.has_attention = all(array is not None for array in self._attention)

    def rows(self, ids: Sequence[str]) -> npt.NDArray[np.int64]:
        """Where the ids stand. Raises InputError naming the first id that is not cached."""
        try:
            return np.array([self._row[id_] for id_ in ids], dtype=np.int64)
        except KeyError as missing:
            raise InputError(f"teacher cache: no entry for id {missing}; run the cache_teacher stage again") from None

    def hidden(self, rows: npt.NDArray[np.int64]) -> torch.Tensor:
        """Last hidden states, zero at padding: (rows, longest, width), float16."""
        lengths = self.tokens[rows]
        width = self._slab(self._hidden, rows[0]).shape[1]
        out = np.zeros((len(rows), lengths.max(), width), dtype=np.float16)
        for order, (row, n) in enumerate(zip(rows, lengths, strict=True)):
            start = self._hidden_start[row]
            out[order, :n] = self._slab(self._hidden, row)[start : start + n]
        return torch.from_numpy(out)

    def attention(self, rows: npt.NDArray[np.int64], heads: int) -> torch.Tensor:
        """Last-layer attention probabilities, zero at padding: (rows, heads, longest, longest), float16."""
        lengths = self.tokens[rows]
        out = np.zeros((len(rows), heads, lengths.max(), lengths.max()), dtype=np.float16)
        for order, (row, n) in enumerate(zip(rows, lengths, strict=True)):
            start = self._attention_start[row]
            flat = self._slab(self._attention, row)[start : start + heads * n * n]
            out[order, :, :n, :n] = flat.reshape(heads, n, n)
        return torch.from_numpy(out)

    def _slab(self, arrays: list[Any], row: int) -> Any:
        return arrays[self._shard[row]]


def _mapped(path: Path) -> Any:
    """The array in a file, mapped into memory; None if the file is not there, or as it is if it is empty."""
    if not path.is_file():
        return None
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        if "mmap" in str(error) or "empty" in str(error):
            return np.load(path, allow_pickle=False)
        raise InputError(f"{path}: not a NumPy array: {error}") from None
