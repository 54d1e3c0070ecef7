"""Parquet files between stages: whole, or an error that names the file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import InputError

KINDS = {
    **dict.fromkeys(("id", "original_id", "domain"), pa.string()),
    **dict.fromkeys(("text", "text_pair", "original_text", "original_text_pair"), pa.string()),
    **dict.fromkeys(("distance", "length"), pa.int32()),
    "positions": pa.list_(pa.int32()),
    **dict.fromkeys(("old_words", "new_words"), pa.list_(pa.string())),
    **dict.fromkeys(("log_p_distance", "log_p_positions", "log_p_words", "log_p"), pa.float64()),
    "pi": pa.float32(),
    "kept": pa.bool_(),
    **dict.fromkeys(("text_hash", "tokens", "hidden_start", "attention_start"), pa.int64()),
    "logits": pa.list_(pa.float32()),
}
"""What a column of that name is in whichever file; a label is text or a number."""
FULL = {"id", "original_id", "domain", "text", "original_text", "label", "pi", "kept", "text_hash", "tokens", "logits"}
"""Those with a value in every row."""
Rows = TypeVar("Rows", pa.Table, pa.RecordBatch)


def write_table(table: pa.Table, path: Path) -> None:
    """Write a file whose pages have checksums."""
    pq.write_table(table, path, compression="zstd", write_page_checksum=True)


def read_table(path: Path, columns: Sequence[str], stage: str) -> pa.Table:
    """Read a file that `stage` wrote: at least `columns`, or all if there are none given.

    Raises InputError naming the file if it is damaged or lacks a column, or a column cannot be what it should.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            found = file.schema_arrow.names
            table = file.read(list(columns) or None)
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{path}: damaged, or not Parquet ({reason}); run the {stage} stage again") from None
    wrong = [f"no column {column!r}" for column in columns if column not in found]
    wrong += [f"column {column!r} twice" for column in table.column_names if table.column_names.count(column) > 1]
    if wrong:
        raise InputError(f"{path}: {wrong[0]}; accepted: a file that the {stage} stage wrote")
    return fitted(table.select(list(columns)) if columns else table, path, stage)


def concatenated(tables: Mapping[Path, pa.Table], stage: str) -> pa.Table:
    """Put the tables of files below one another. Raises InputError naming the first whose columns are unlike."""
    (first, wanted), *_ = tables.items()
    kinds = {field.name: field.type for field in wanted.schema}
    for path, table in tables.items():
        found = {field.name: field.type for field in table.schema}
        unlike = [name for name in kinds | found if found.get(name) != kinds.get(name)]
        if unlike:
            raise InputError(f"{path}: column {unlike[0]!r} is not as in {first.name}; run the {stage} stage again")
    return pa.concat_tables(tables.values(), promote_options="default")


def fitted(rows: Rows, path: Path, stage: str) -> Rows:
    """Give columns the types that the stages write them in: other programs have others for the same.

    Raises InputError naming the file, and the column that has other values or, where there has to be one, none.
    """
    for place, name in enumerate(rows.column_names):
        column = rows.column(place)
        kind = KINDS.get(name) or (_label_kind(column.type) if name == "label" else column.type)
        try:
            if column.type != kind:
                column = column.cast(kind)
                rows = rows.set_column(place, name, column)
        except pa.ArrowException:
            again = f"run the {stage} stage again"
            raise InputError(f"{path}, column {name!r}: got {column.type}; accepted: {kind}; {again}") from None
        if name in FULL and (missing := _missing(column)):
            raise InputError(f"{path}, column {name!r}: {missing:,} without a value; run the {stage} stage again")
    return rows


def _missing(column: pa.Array | pa.ChunkedArray) -> int:
    """Cells, and numbers in lists, that are null, infinite or none."""
    missing: int = column.null_count
    if pa.types.is_list(column.type):
        column = pc.list_flatten(column)
        missing += column.null_count
    if pa.types.is_floating(column.type):
        missing += pc.sum(pc.invert(pc.is_finite(column))).as_py() or 0
    return missing


def _label_kind(given: pa.DataType) -> pa.DataType:
    """Of a label: a class or, where it is a number, one with a fraction."""
    return pa.float64() if pa.types.is_floating(given) else pa.string()
