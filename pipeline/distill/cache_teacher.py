"""The cache_teacher stage: the teacher runs once over every text, and its outputs are stored without padding."""

import logging
import os
from collections.abc import Iterator, Sequence
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
from pipeline.compute.batching import TOKENS, budget_batches, collate, encode
from pipeline.compute.engine import for_each
from pipeline.compute.environment import environment
from pipeline.compute.precision import precision
from pipeline.data.texts import DOMAINS, as_texts, read_prepared_once, second_texts
from pipeline.distill.teacher_cache import ARRAYS, array_file, text_hashes, unmap
from pipeline.errors import InputError
from pipeline.models.attention import attention_heads
from pipeline.models.compatibility import check_length
from pipeline.models.forward import forward
from pipeline.models.loading import load_classifier, load_config, load_tokenizer
from pipeline.params.schema import Params
from pipeline.storage.atomic import publish_folder
from pipeline.storage.fingerprint import code_hash, file_hash, fingerprint, folder_hash
from pipeline.storage.parquet import every_nth, read_table, write_table
from pipeline.storage.workcache import is_finished, link_or_copy, work_folder, write_piece

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Piece:
    """Texts cached together: one shard of neighbours, or a share of a domain's originals."""

    name: str
    ids: Sequence[str]
    texts: list[str]
    pairs: list[str] | None


@dataclass(frozen=True, slots=True)
class Job:
    """A unit of work: where a piece's texts are, and what the teacher's outputs are written to."""

    name: str
    file: Path
    share: tuple[int, int] | None
    """Which share of a file of originals, from 0, and of how many; None for a shard of neighbours, read whole."""
    originals_hash: str
    """Of that file; empty for a shard."""
    params: str
    """JSON."""
    teacher: Path
    teacher_hash: str
    stem: Path = Path()
    """Path of the piece's files without their suffixes."""

    def read(self) -> Piece:
        """Read the texts."""
        if self.share is None:
            table = read_table(self.file, ["id", "text", "text_pair"], "augment")
            ids, texts = table["id"].to_pylist(), table["text"].to_pylist()
            return Piece(self.name, ids, texts, second_texts(table["text_pair"].to_pylist(), self.file))
        originals = as_texts(every_nth(read_prepared_once(self.file, self.originals_hash), *self.share), self.file)
        return Piece(self.name, originals.ids, originals.texts, originals.pairs)


def cache_teacher(params: Params, *, prepared: Path, augmented: Path, teacher: Path, out: Path) -> str:
    """Run the teacher once over all neighbours, and over the originals of `distill.originals`.

    Pieces already cached for the same teacher and texts are taken from the work cache. Returns a sentence with the
    result. Raises InputError if there is no text to cache.
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
    texts = pieces = 0
    files: list[tuple[Path, str]] = []
    unfinished: list[Job] = []
    for job in _jobs(params, prepared, augmented, teacher, teacher_hash):
        piece = job.read()
        if not piece.ids:
            continue
        stem = folder / fingerprint(name=piece.name, ids=piece.ids, texts=piece.texts, pairs=piece.pairs)
        if not _is_finished(stem, params):
            unfinished.append(replace(job, stem=stem))
        files += [(file, f"{job.name}{file.name.removeprefix(stem.name)}") for file in _files(stem, params)]
        texts += len(piece.ids)
        pieces += 1
    if not files:
        raise InputError(
            "augment.samples: 0 for each domain that has texts, and distill.originals is empty; "
            "accepted: at least one text to distil on"
        )
    logger.info("%d of %d pieces from the work cache", pieces - len(unfinished), pieces)
    try:
        for_each(cache_shard, unfinished, params.engine, "cache")
    finally:
        _load_teacher.cache_clear()
        read_prepared_once.cache_clear()
    with publish_folder(out) as published:
        for file, name in files:
            link_or_copy(file, published / name)
        size = sum(file.stat().st_size for file in published.iterdir())
    kinds = [kind for kind in ("logits", *ARRAYS) if getattr(params.cache, kind)]
    return f"{texts:,} texts with {', '.join(kinds)}, {size / 1e6:,.0f} MB, in {out}"


def _files(stem: Path, params: Params) -> list[Path]:
    index = stem.with_name(f"{stem.name}.parquet")
    return [index, *(array_file(index, kind) for kind in ARRAYS if getattr(params.cache, kind))]


def _is_finished(stem: Path, params: Params) -> bool:
    return all(is_finished(file) for file in _files(stem, params))


def _jobs(params: Params, prepared: Path, augmented: Path, teacher: Path, teacher_hash: str) -> Iterator[Job]:
    common = (params.model_dump_json(), teacher, teacher_hash)
    for shard in shards(augmented):
        yield Job(shard.stem, shard, None, "", *common)
    for domain in params.distill.originals:
        pieces, file = 1 if domain == "target" else params.augment.shards, prepared / DOMAINS[domain]
        # Of a file that is not there, reading says what to do.
        originals_hash = file_hash(file) if file.is_file() else ""
        for first in range(pieces):
            name = f"{domain}-originals-{first:05d}-of-{pieces:05d}"
            yield Job(name, file, (first, pieces), originals_hash, *common)


def cache_shard(job: Job) -> None:
    """Run the teacher over the texts of a job and write its outputs into the work cache."""
    params = Params.model_validate_json(job.params)
    if _is_finished(job.stem, params):
        # Another experiment has written it in the meantime.
        return
    model, tokenizer = _load_teacher(job.teacher, job.teacher_hash)
    run_teacher(model, tokenizer, job.read(), job.stem, params, job.teacher_hash)


@lru_cache(maxsize=1)
def _load_teacher(folder: Path, _: str) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Loaded once for all jobs of a process."""
    model = load_classifier(folder, "teacher").to(distributed.device())
    return model, load_tokenizer(folder, "teacher")


@torch.inference_mode()
def run_teacher(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    piece: Piece,
    stem: Path,
    params: Params,
    teacher_hash: str,
) -> None:
    """Run the teacher over a piece and write `stem`.parquet, `stem`.hidden.npy and `stem`.attention.npy.

    The index has, for each id, a hash of its text, its logits, its number of tokens n, and where its n rows of hidden
    states (n, width) and its attention (heads, n, n) begin in the arrays. Its metadata hold the teacher's hash
    (`teacher`), the name of the piece (`piece`) and the hash of each array.
    """
    index = stem.with_name(f"{stem.name}.parquet")
    config = model.config
    encoded = encode(tokenizer, piece.texts, piece.pairs, params.max_length)
    lengths = encoded.lengths
    hidden_start = np.concatenate([[0], lengths.cumsum()])
    attention_start = np.concatenate([[0], (attention_heads(config) * lengths**2).cumsum()])
    logits = np.zeros((len(lengths), config.num_labels), dtype=np.float32)
    device = distributed.device()
    model.eval()
    states_kept = [state for state in ("hidden", "attention") if getattr(params.cache, state)]
    with ExitStack() as arrays:
        hidden = attention = None
        if params.cache.hidden:
            file = array_file(index, "hidden")
            hidden = arrays.enter_context(_new_array(file, int(hidden_start[-1]), config.hidden_size))
        if params.cache.attention:
            file = array_file(index, "attention")
            attention = arrays.enter_context(_new_array(file, int(attention_start[-1])))
        for rows in budget_batches(lengths, TOKENS):
            inputs = collate(encoded, rows, device)
            with precision(device):
                states = forward(model, inputs, states_kept)
            logits[rows] = states.logits.cpu().numpy()
            for array, start, values in (
                (hidden, hidden_start, states.hidden),
                (attention, attention_start, states.attention),
            ):
                if array is None:
                    continue
                half = values.half().cpu().numpy()
                for i, row in enumerate(rows):
                    n = lengths[row]
                    # Hidden states are (tokens, width), attention is (heads, tokens, tokens).
                    array[start[row] : start[row + 1]] = half[i, :n] if half.ndim == 3 else half[i, :, :n, :n].ravel()
            unmap(array for array in (hidden, attention) if array is not None)
        # Recomputed arrays may differ in a last digit: after a kill no older index must be beside them.
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
    # An array that an earlier run wrote may be published beside this index, too.
    existing = {kind: array_file(index, kind) for kind in ARRAYS if array_file(index, kind).is_file()}
    hashes = {kind: file_hash(file) for kind, file in existing.items()}
    with write_piece(index) as temporary:
        write_table(pa.table(columns, metadata={"teacher": teacher_hash, "piece": piece.name} | hashes), temporary)


@contextmanager
def _new_array(path: Path, *shape: int) -> Iterator[Any]:
    """Yield a float16 array that is mapped to a file; its disk space is allocated first, where the system can."""
    with write_piece(path) as temporary:
        array = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float16, shape=shape)
        if hasattr(os, "posix_fallocate"):
            with temporary.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, temporary.stat().st_size)
        yield array
        array.flush()
        del array
