"""The teacher's pass over every text, kept: logits in Parquet, states unpadded in float16 arrays."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.augment.shards import shards
from pipeline.compute import distributed
from pipeline.compute.batching import collate, encode, length_batches
from pipeline.compute.engine import for_each
from pipeline.compute.environment import environment
from pipeline.data.texts import DOMAINS, read_texts, second_texts
from pipeline.distill.teacher_cache import ARRAYS, array_file, text_hashes
from pipeline.errors import InputError
from pipeline.models.compatibility import check_length
from pipeline.models.forward import forward
from pipeline.models.loading import load_classifier, load_config, load_tokenizer
from pipeline.params.schema import Params
from pipeline.storage.atomic import publish_folder
from pipeline.storage.fingerprint import code_hash, file_hash, fingerprint, folder_hash
from pipeline.storage.parquet import read_table, write_table
from pipeline.storage.workcache import is_finished, link_or_copy, work_folder, write_piece

BATCH_TOKENS = 2048
"""Pieces in one pass: what bounds the memory."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Texts cached together: one shard of neighbours, or of a domain's originals."""

    name: str
    ids: list[str]
    texts: list[str]
    pairs: list[str] | None


@dataclass(frozen=True, slots=True)
class Shard:
    """A unit of work: where a piece's texts stand, and what is made of them."""

    name: str
    file: Path
    rows: tuple[int, int] | None
    """Of originals: the first of the piece's texts, and from one to the next."""
    params: str
    """JSON."""
    teacher: Path
    teacher_hash: str
    stem: Path = Path()

    def read(self) -> Piece:
        """The texts."""
        if self.rows is None:
            table = read_table(self.file, ["id", "text", "text_pair"], "augment")
            ids, texts = table["id"].to_pylist(), table["text"].to_pylist()
            return Piece(self.name, ids, texts, second_texts(table["text_pair"].to_pylist(), self.file))
        originals, (first, step) = read_texts(self.file), self.rows
        pairs_ = None if originals.pairs is None else originals.pairs[first::step]
        return Piece(self.name, originals.ids[first::step], originals.texts[first::step], pairs_)


def cache_teacher(params: Params, *, prepared: Path, augmented: Path, teacher: Path, out: Path) -> str:
    """Run the teacher once over all neighbours, and over the originals that are imitated too.

    Pieces already cached for the same teacher and texts are taken from the work cache. Returns what was made, in a
    few words.
    """
    tokenizer = load_tokenizer(teacher, "teacher")
    check_length(params.max_length, tokenizer, load_config(teacher, "teacher"), "the teacher")
    teacher_hash = folder_hash(teacher)
    folder = work_folder(
        "cache_teacher",
        fingerprint(
            code=code_hash(__name__),
            environment=environment(),
            teacher=teacher_hash,
            max_length=params.max_length,
            logits=params.cache.logits,
        ),
    )
    texts = 0
    made: list[tuple[Path, str]] = []
    wanted: list[Shard] = []
    for shard in _shards(params, prepared, augmented, teacher, teacher_hash):
        piece = shard.read()
        if not piece.ids:
            continue
        stem = folder / fingerprint(name=piece.name, ids=piece.ids, texts=piece.texts, pairs=piece.pairs)
        if not _is_made(stem, params):
            wanted.append(replace(shard, stem=stem))
        made += [(file, f"{shard.name}{file.name.removeprefix(stem.name)}") for file in _files(stem, params)]
        texts += len(piece.ids)
    if not made:
        raise InputError(
            "augment.samples: 0 for each domain that has texts, and distill.originals is empty; "
            "accepted: a text to imitate"
        )
    try:
        for_each(cache_shard, wanted, params.engine, "cache")
    finally:
        _teacher.cache_clear()
    with publish_folder(out) as published:
        for file, name in made:
            link_or_copy(file, published / name)
        size = sum(file.stat().st_size for file in published.iterdir())
    return f"{texts:,} texts with {', '.join(_kept(params))}, {size / 1e6:,.0f} MB, in {out}"


def _files(stem: Path, params: Params) -> list[Path]:
    index = stem.with_name(f"{stem.name}.parquet")
    return [index, *(array_file(index, kind) for kind in ARRAYS if getattr(params.cache, kind))]


def _is_made(stem: Path, params: Params) -> bool:
    return all(is_finished(file) for file in _files(stem, params))


def _kept(params: Params) -> list[str]:
    return [kind for kind in ("logits", "hidden", "attention") if getattr(params.cache, kind)]


def _shards(params: Params, prepared: Path, augmented: Path, teacher: Path, teacher_hash: str) -> Iterator[Shard]:
    given = (params.model_dump_json(), teacher, teacher_hash)
    for shard in shards(augmented):
        yield Shard(shard.stem, shard, None, *given)
    for domain in params.distill.originals:
        number = params.augment.shards if domain == "source" else 1
        for first in range(number):
            name = f"{domain}-originals-{first:05d}-of-{number:05d}"
            yield Shard(name, prepared / DOMAINS[domain], (first, number), *given)


def cache_shard(shard: Shard) -> None:
    """Run the teacher over a shard's texts and leave what it says and thinks in the work cache."""
    params = Params.model_validate_json(shard.params)
    if _is_made(shard.stem, params):
        # By another experiment, in the meantime.
        return
    model, tokenizer = _teacher(shard.teacher, shard.teacher_hash)
    run_teacher(model, tokenizer, shard.read(), shard.stem, params, shard.teacher_hash)


@lru_cache(maxsize=1)
def _teacher(folder: Path, _: str) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Loaded once for all shards of a process."""
    model = load_classifier(folder, "teacher").to(distributed.device())
    return model, load_tokenizer(folder, "teacher")


@torch.inference_mode()
def run_teacher(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, piece: Piece, stem: Path, params: Params, teacher: str
) -> None:
    """Run the teacher over a piece and write `stem`.parquet, `stem`.hidden.npy and `stem`.attention.npy.

    The index holds, for each id, a hash of its text, its logits, its number of pieces n, and where its n rows of hidden
    states (n, width) and its attention (heads, n, n) begin in the arrays. Its metadata tells `teacher`, that one's
    hash, `piece`, the piece's name, and each array's hash.
    """
    index = stem.with_name(f"{stem.name}.parquet")
    config = model.config
    encoded = encode(tokenizer, piece.texts, piece.pairs, params.max_length)
    lengths = encoded.lengths
    hidden_start = np.concatenate([[0], lengths.cumsum()])
    attention_start = np.concatenate([[0], (config.num_attention_heads * lengths**2).cumsum()])
    logits = np.zeros((len(lengths), config.num_labels), dtype=np.float32)
    place = distributed.device()
    model.eval()
    with ExitStack() as arrays:
        hidden = attention = None
        if params.cache.hidden:
            file = array_file(index, "hidden")
            hidden = arrays.enter_context(_new_array(file, int(hidden_start[-1]), config.hidden_size))
        if params.cache.attention:
            file = array_file(index, "attention")
            attention = arrays.enter_context(_new_array(file, int(attention_start[-1])))
        for rows in length_batches(lengths, tokens=BATCH_TOKENS):
            inputs = {name: tensor.to(place) for name, tensor in collate(encoded, rows).items()}
            states = forward(model, inputs, hidden=params.cache.hidden, attention=params.cache.attention)
            logits[rows] = states.logits.float().cpu().numpy()
            for array, start, given in (
                (hidden, hidden_start, states.hidden),
                (attention, attention_start, states.attention),
            ):
                if array is None or given is None:
                    continue
                half = given.half().cpu().numpy()
                for order, row in enumerate(rows):
                    n = lengths[row]
                    # Hidden states are (tokens, width), attention is (heads, tokens, tokens).
                    own = half[order, :n] if half.ndim == 3 else half[order, :, :n, :n].ravel()
                    array[start[row] : start[row + 1]] = own
        # Arrays made anew may differ in a last digit: if this is killed now, no older index stands beside them.
        index.unlink(missing_ok=True)
    columns = {
        "id": pa.array(piece.ids, pa.string()),
        "text_hash": pa.array(text_hashes(piece.texts, piece.pairs), pa.int64()),
        "tokens": lengths,
        "hidden_start": hidden_start[:-1],
        "attention_start": attention_start[:-1],
    }
    if params.cache.logits:
        columns["logits"] = pa.array(list(logits), pa.list_(pa.float32()))
    # One that an earlier run left may be published beside this index, too.
    there = {kind: array_file(index, kind) for kind in ARRAYS if array_file(index, kind).is_file()}
    vouched = {kind: file_hash(file) for kind, file in there.items()}
    with write_piece(index) as temporary:
        write_table(pa.table(columns, metadata={"teacher": teacher, "piece": piece.name} | vouched), temporary)


@contextmanager
def _new_array(path: Path, *shape: int) -> Iterator[Any]:
    """A float16 array that lies in a file from the start; where the system can, its room is taken beforehand."""
    with write_piece(path) as temporary:
        array = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float16, shape=shape)
        if hasattr(os, "posix_fallocate"):
            with temporary.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, temporary.stat().st_size)
        yield array
        array.flush()
        del array
