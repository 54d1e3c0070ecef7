"""Neighbours read back: all of a folder, or only the columns and rows that are needed, in batches."""

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
"""In one batch. They bound the memory."""


def shard_name(domain: str, shard: int, shards: int) -> str:
    """`target-00000-of-00008.parquet`."""
    return f"{domain}-{shard:05d}-of-{shards:05d}.parquet"


def shards(folder: Path) -> list[Path]:
    """The folder's shards, sorted by name.

    Raises InputError if there are none, if one has another's name, or if one is missing.
    """
    if not folder.is_dir():
        problem = "a file; accepted: a folder of shards" if folder.exists() else "no such folder"
        raise InputError(f"{folder}: {problem}; the augment stage makes it")
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise InputError(f"{folder}: no shards; run the augment stage first")
    totals = set()
    for file in files:
        name = _recorded_name(file)
        if name is None:
            continue
        if name != file.name:
            raise InputError(f"{file}: its metadata names {name}; run the augment stage again")
        totals |= {int(total) for total in re.findall(r"-of-(\d+)\.parquet$", name)}
    for total in sorted(totals):
        expected = {folder / shard_name(domain, shard, total) for domain in DOMAINS for shard in range(total)}
        missing = expected.difference(files)
        if missing:
            raise InputError(f"{min(missing)}: missing; run the augment stage again")
    return files


def _recorded_name(shard: Path) -> str | None:
    """The name that a shard was written under; None if its metadata have none, as in a file made by hand."""
    metadata = read_schema(shard, (), "augment").metadata or {}
    try:
        return str(json.loads(metadata[b"l2a"])["shard"])
    except (KeyError, TypeError, ValueError):
        return None


def read_augmented(folder: Path, columns: Sequence[str] = ()) -> pa.Table:
    """All neighbours at once, in the order of the shards' names. Raises InputError as `shards` does."""
    table = concatenated({shard: read_table(shard, columns, "augment") for shard in shards(folder)}, "augment")
    # The first shard's metadata are not those of all.
    return table.replace_schema_metadata()


def scan(files: Sequence[Path], columns: Sequence[str], stage: str, where: Any = None) -> Iterator[pa.RecordBatch]:
    """Read files that `stage` wrote, one after the other.

    Args:
        columns: those to read; `where` may use no others.
        where: a filter on rows, as an expression of pyarrow.dataset.

    Raises InputError naming the file that is damaged or lacks a column, and the column that has other values.
    """
    for file in files:
        try:
            dataset = _open(file)
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
            raise _damaged(file, stage, error) from error


def read_schema(file: Path, columns: Sequence[str], stage: str) -> pa.Schema:
    """The columns of a file and its metadata. Raises InputError naming the file if it is damaged or lacks a column."""
    try:
        schema = _open(file).schema
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(file, stage, error) from error
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


def _open(file: Path) -> Any:
    options = ds.ParquetFragmentScanOptions(page_checksum_verification=True)
    return ds.dataset(file, format=ds.ParquetFileFormat(default_fragment_scan_options=options))


def _damaged(file: Path, stage: str, error: Exception) -> InputError:
    reason = " ".join(str(error).split())[:160]
    return InputError(f"{file}: damaged, or not Parquet ({reason}); run the {stage} stage again")
