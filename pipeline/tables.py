"""Parquet files between stages: whole, or an error that names the file."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import InputError


def write_table(table: pa.Table, path: Path) -> None:
    """Write a file whose pages have checksums."""
    pq.write_table(table, path, compression="zstd", write_page_checksum=True)


def read_table(path: Path, columns: Sequence[str], stage: str) -> pa.Table:
    """Read a file that `stage` wrote: at least `columns`, or all if there are none given.

    Raises InputError naming the file if it is damaged or lacks a column.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            found = file.schema_arrow.names
            table = file.read(list(columns) or None)
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{path}: damaged, or not Parquet ({reason}); run the {stage} stage again") from None
    missing = [column for column in columns if column not in found]
    if missing:
        raise InputError(f"{path}: no column {missing[0]!r}; accepted: a file that the {stage} stage wrote")
    return table
