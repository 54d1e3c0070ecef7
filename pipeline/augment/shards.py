"""Neighbours read back: all of a folder, or piece by piece the columns and rows that are asked for."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from pipeline.data.texts import DOMAINS
from pipeline.errors import InputError
from pipeline.storage.parquet import concatenated, fitted, read_table

ROWS = 4096
"""At once: what bounds the memory."""


def shard_name(domain: str, shard: int, shards: int) -> str:
    """`target-00000-of-00008.parquet`."""
    return f"{domain}-{shard:05d}-of-{shards:05d}.parquet"


def shards(folder: Path) -> list[Path]:
    """The folder's shards in the order of their names.

    Raises InputError if there are none, if one stands under another's name, or if one is missing.
    """
    if not folder.is_dir():
        found = "a file; accepted: a folder of shards" if folder.exists() else "no such folder"
        raise InputError(f"{folder}: {found}; the augment stage makes it")
    found_shards = sorted(folder.glob("*.parquet"))
    if not found_shards:
        raise InputError(f"{folder}: no shards; run the augment stage first")
    numbers = set()
    for shard in found_shards:
        name = _own_name(shard)
        if name is None:
            continue
        if name != shard.name:
            raise InputError(f"{shard}: its metadata names {name}; run the augment stage again")
        numbers |= {int(number) for number in re.findall(r"-of-(\d+)\.parquet$", name)}
    for number in sorted(numbers):
        wanted = {folder / shard_name(domain, shard, number) for domain in DOMAINS for shard in range(number)}
        missing = wanted.difference(found_shards)
        if missing:
            raise InputError(f"{min(missing)}: not there; run the augment stage again")
    return found_shards


def _own_name(shard: Path) -> str | None:
    """The name that a shard was written under; None if it does not tell, as one made by hand."""
    metadata = read_schema(shard, (), "augment").metadata or {}
    try:
        return str(json.loads(metadata[b"l2a"])["shard"])
    except (KeyError, TypeError, ValueError):
        return None


def read_augmented(folder: Path, columns: Sequence[str] = ()) -> pa.Table:
    """All neighbours at once, in the order of the shards' names. Raises InputError as `shards` does."""
    whole = concatenated({shard: read_table(shard, columns, "augment") for shard in shards(folder)}, "augment")
    # That of the first shard is not that of all.
    return whole.replace_schema_metadata()


def scan(files: Sequence[Path], columns: Sequence[str], stage: str, where: Any = None) -> Iterator[pa.RecordBatch]:
    """Read files that `stage` wrote, one after the other.

    Args:
        columns: those that are read; `where` may ask for no others.
        where: an expression of pyarrow.dataset that a row has to fulfil.

    Raises InputError naming the file that is damaged or lacks a column, and the column that is not what it should be.
    """
    for file in files:
        try:
            dataset = _opened(file)
            check_columns(file, dataset.schema, columns, stage)
            scanner = dataset.scanner(
                columns=list(columns),
                filter=where,
                batch_size=ROWS,
                batch_readahead=1,
                fragment_readahead=1,
                use_threads=False,
            )
            yield from (fitted(batch, file, stage) for batch in scanner.to_batches() if batch.num_rows)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _damaged(file, stage, error) from None


def read_schema(file: Path, columns: Sequence[str], stage: str) -> pa.Schema:
    """The columns of a file and its metadata. Raises InputError naming the file if it is damaged or lacks a column."""
    try:
        schema = _opened(file).schema
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(file, stage, error) from None
    check_columns(file, schema, columns, stage)
    return schema


def check_columns(file: Path, schema: pa.Schema, columns: Sequence[str], stage: str) -> None:
    """Raise InputError naming the file and the first column that it lacks."""
    missing = [column for column in columns if column not in schema.names]
    if missing:
        raise InputError(f"{file}: no column {missing[0]!r}; accepted: a file that the {stage} stage wrote")


def check_task(augmented: Path, label: pa.DataType, names: Sequence[str], prepared: Path) -> None:
    """Raise InputError if the shards' labels are numbers where the prepared texts have classes, or the reverse."""
    if pa.types.is_floating(label) == bool(names):
        kinds = ("numbers", "classes") if names else ("classes", "numbers")
        raise InputError(
            f"{augmented}: its labels are {kinds[0]}, those of {prepared} are {kinds[1]}; run the augment stage again"
        )


def _opened(file: Path) -> Any:
    options = ds.ParquetFragmentScanOptions(page_checksum_verification=True)
    return ds.dataset(file, format=ds.ParquetFileFormat(default_fragment_scan_options=options))


def _damaged(file: Path, stage: str, error: Exception) -> InputError:
    reason = " ".join(str(error).split())[:160]
    return InputError(f"{file}: damaged, or not Parquet ({reason}); run the {stage} stage again")
