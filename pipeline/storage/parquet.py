"""Parquet files that one stage writes and others read, checked when they are read."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import InputError
from pipeline.storage.columns import COLUMNS

Rows = TypeVar("Rows", pa.Table, pa.RecordBatch)


def write_table(table: pa.Table, path: Path) -> None:
    """Write a compressed file whose pages have checksums."""
    pq.write_table(table, path, compression="zstd", write_page_checksum=True)


def read_table(path: Path, columns: Sequence[str], stage: str) -> pa.Table:
    """Read `columns` of a file that `stage` wrote; all columns if `columns` is empty.

    Raises InputError naming the file if it is damaged, lacks a column, or has a column with other values.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            found = file.schema_arrow.names
            table = file.read(list(columns) or None)
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{path}: damaged, or not Parquet ({reason}); run the {stage} stage again") from error
    wrong = [f"no column {column!r}" for column in columns if column not in found]
    wrong += [f"column {column!r} twice" for column in table.column_names if table.column_names.count(column) > 1]
    if wrong:
        raise InputError(f"{path}: {wrong[0]}; accepted: a file that the {stage} stage wrote")
    return fitted(table.select(list(columns)) if columns else table, path, stage)


def concatenated(tables: Mapping[Path, pa.Table], stage: str) -> pa.Table:
    """Concatenate the tables of files. Raises InputError naming the first file with other columns than the first."""
    (first, first_table), *_ = tables.items()
    first_types = {field.name: field.type for field in first_table.schema}
    for path, table in tables.items():
        types = {field.name: field.type for field in table.schema}
        different = [name for name in first_types | types if types.get(name) != first_types.get(name)]
        if different:
            raise InputError(f"{path}: column {different[0]!r} is not as in {first.name}; run the {stage} stage again")
    return pa.concat_tables(tables.values(), promote_options="default")


def fitted(rows: Rows, path: Path, stage: str) -> Rows:
    """Cast columns to the types that the stages write: other programs may store the same values in other types.

    Raises InputError naming the file and the column if a value does not fit, or a required one is missing.
    """
    for index, name in enumerate(rows.column_names):
        column = rows.column(index)
        known = COLUMNS.get(name)
        expected = column.type if known is None else known.type or _label_type(column.type)
        try:
            if column.type != expected:
                column = column.cast(expected)
                rows = rows.set_column(index, name, column)
        except pa.ArrowException as error:
            again = f"run the {stage} stage again"
            raise InputError(f"{path}, column {name!r}: got {column.type}; accepted: {expected}; {again}") from error
        if known is not None and known.required and (missing := _missing(column)):
            raise InputError(f"{path}, column {name!r}: {missing:,} without a value; run the {stage} stage again")
    return rows


def _missing(column: pa.Array | pa.ChunkedArray) -> int:
    """The number of cells, and of numbers in lists, that are null, infinite or NaN."""
    missing: int = column.null_count
    if pa.types.is_list(column.type):
        column = pc.list_flatten(column)
        missing += column.null_count
    if pa.types.is_floating(column.type):
        missing += pc.sum(pc.invert(pc.is_finite(column))).as_py() or 0
    return missing


def _label_type(stored: pa.DataType) -> pa.DataType:
    """The type of a label column: float64 in regression, else text."""
    return pa.float64() if pa.types.is_floating(stored) else pa.string()
