"""Parquet files that one stage writes and others read, checked when they are read."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import InputError, one_line
from pipeline.storage.columns import COLUMNS

# Arrow's own allocator keeps more of what is let go: two million texts take 620 MB to read with it, 480 without.
if "ARROW_DEFAULT_MEMORY_POOL" not in os.environ:
    pa.set_memory_pool(pa.system_memory_pool())

BATCH_ROWS = 4096
"""Rows of a batch that `scan` yields. They bound the memory."""
TableOrBatch = TypeVar("TableOrBatch", pa.Table, pa.RecordBatch)


def write_table(table: pa.Table, path: Path) -> None:
    """Write a compressed file whose pages have checksums."""
    write_tables([table], table.schema, path)


def write_tables(tables: Iterable[pa.Table], schema: pa.Schema, path: Path) -> None:
    """Write one compressed file of tables, of which one or two are held at once."""
    with pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as file:
        for table in tables:
            file.write_table(table)


def read_table(path: Path, columns: Sequence[str], stage: str) -> pa.Table:
    """Read `columns` of a file that `stage` wrote; all columns if `columns` is empty.

    Raises InputError naming the file if it is damaged, lacks a column, or has a column with other values.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            names = file.schema_arrow.names
            # One row group after the other: read at once, they are held twice while columns are put together.
            read = list(columns) or None
            groups = [file.read_row_group(group, read) for group in range(file.num_row_groups)]
            table = pa.concat_tables(groups) if groups else file.read(read)
            for name, column in zip(table.column_names, table.columns, strict=True):
                # The checksums of pages are not of their headers: a damaged one may leave a column short.
                if len(column) != file.metadata.num_rows:
                    raise ValueError(f"column {name} has {len(column)} of {file.metadata.num_rows} rows")
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(path, stage, error) from error
    _check_columns(path, names, columns, stage)
    twice = [column for column in table.column_names if table.column_names.count(column) > 1]
    if twice:
        raise InputError(f"{path}: column {twice[0]!r} twice; accepted: a file that the {stage} stage wrote")
    return _cast_columns(table.select(list(columns)) if columns else table, path, stage)


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
            _check_columns(file, dataset.schema.names, columns, stage)
            scanner = dataset.scanner(
                columns=list(columns),
                filter=where,
                batch_size=BATCH_ROWS,
                batch_readahead=1,
                fragment_readahead=1,
                use_threads=False,
            )
            rows = 0
            for batch in scanner.to_batches():
                rows += batch.num_rows
                if batch.num_rows:
                    yield _cast_columns(batch, file, stage)
            if where is None and rows != dataset.count_rows():
                raise ValueError(f"{rows} of {dataset.count_rows()} rows")
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _damaged(file, stage, error) from error


def read_schema(file: Path, columns: Sequence[str], stage: str) -> pa.Schema:
    """The columns of a file and its metadata. Raises InputError naming the file if it is damaged or lacks a column."""
    try:
        schema = pq.read_schema(file)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(file, stage, error) from error
    _check_columns(file, schema.names, columns, stage)
    return schema


def _check_columns(file: Path, names: Sequence[str], columns: Sequence[str], stage: str) -> None:
    """Raise InputError naming the file and the first column that it lacks."""
    missing = [column for column in columns if column not in names]
    if missing:
        raise InputError(
            f"{file}: no column {missing[0]!r}; accepted: a file that the {stage} stage of this version wrote"
        )


def concatenate(tables: Mapping[Path, pa.Table], stage: str) -> pa.Table:
    """Concatenate the tables of files. Raises InputError naming the first file with other columns than the first."""
    (first, first_table), *_ = tables.items()
    first_types = {field.name: field.type for field in first_table.schema}
    for path, table in tables.items():
        types = {field.name: field.type for field in table.schema}
        different = [name for name in first_types | types if types.get(name) != first_types.get(name)]
        if different:
            raise InputError(f"{path}: column {different[0]!r} is not as in {first.name}; run the {stage} stage again")
    return pa.concat_tables(tables.values(), promote_options="default")


def every_nth(table: pa.Table, first: int, n: int) -> pa.Table:
    """The rows `first`, `first + n`, `first + 2·n`, … of a table.

    They are taken from one batch after the other: `Table.take` copies the columns of all batches first.
    """
    taken, start = [], 0
    for batch in table.to_batches():
        rows = range((first - start) % n, len(batch), n)
        taken.append(batch.take(pa.array(rows, pa.int64())))
        start += len(batch)
    return pa.Table.from_batches(taken, table.schema)


def _cast_columns(rows: TableOrBatch, path: Path, stage: str) -> TableOrBatch:
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
    if "label" in rows.column_names and (missing := _missing_labels(rows)):
        raise InputError(f"{path}, column 'label': {missing:,} without a value; run the {stage} stage again")
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


def _missing_labels(rows: TableOrBatch) -> int:
    """The number of labels that are infinite, NaN, or null although the row's domain has labels."""
    labels = rows["label"]
    missing = _missing(labels.drop_null())
    if "domain" in rows.column_names:
        missing += labels.filter(pc.not_equal(rows["domain"], "unlabelled")).null_count
    return missing


def _label_type(stored: pa.DataType) -> pa.DataType:
    """The type of a label column: float64 in regression, else text."""
    return pa.float64() if pa.types.is_floating(stored) else pa.string()


def _open(file: Path) -> Any:
    # Imported here, because it imports pandas, which a stage that reads whole tables can do without.
    import pyarrow.dataset as ds

    options = ds.ParquetFragmentScanOptions(page_checksum_verification=True)
    return ds.dataset(file, format=ds.ParquetFileFormat(default_fragment_scan_options=options))


def _damaged(file: Path, stage: str, error: Exception) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(f"no such file: {file}; run the {stage} stage first")
    return InputError(f"{file}: damaged, or not Parquet ({one_line(error)}); run the {stage} stage again")
