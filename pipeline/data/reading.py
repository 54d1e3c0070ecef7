"""Reading one CSV, TSV, JSONL or Parquet file whole into a table."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.addresses.resolve import TABLE_SUFFIXES
from pipeline.data.quoting import shown
from pipeline.errors import InputError, nearest


def read_file(path: Path, key: str) -> pd.DataFrame:
    """Read one file; cells have the types of the format, and blank lines are not rows.

    Args:
        key: the parameter that names the file, for errors: `data.source`.

    Raises InputError naming the file and the row, or the parameter if there is no such file.
    """
    suffix = path.suffix.lower()
    if suffix not in TABLE_SUFFIXES:
        raise InputError(f"{key}.path: {path} is not a table file; accepted: {', '.join(TABLE_SUFFIXES)}")
    if path.is_dir():
        raise InputError(f"{key}.path: {path} is a folder; accepted: a file, or the pattern {path / '*'}{suffix}")
    if not path.is_file():
        siblings = {entry.name for entry in path.parent.glob("*")} if path.parent.is_dir() else set()
        raise InputError(f"{key}.path: no such file: {path}{nearest(path.name, sorted(siblings - {path.name}))}")
    if path.stat().st_size == 0:
        raise InputError(f"{key}.path: {path} is empty")
    if suffix == ".parquet":
        return _read_parquet(path)
    text = _decode(path)
    if suffix == ".jsonl":
        return pd.DataFrame(list(_json_rows(path, text)), dtype=object)
    return _read_separated(path, text, suffix)


def _read_parquet(path: Path) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Python values: integers stay integers beside missing values, and invalid UTF-8 raises here, not later.
        table = pq.ParquetFile(path).read()
        columns = [column.to_pylist() for column in table.columns]
        header = [str(name) for name in table.column_names]
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{path}: not a Parquet file: {' '.join(str(error).split())[:200]}") from error
    _check_header(path, header)
    return pd.DataFrame(dict(zip(header, columns, strict=True)), columns=header, dtype=object)


def _decode(path: Path) -> str:
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}, line {line}: byte 0x{raw[error.start]:02x} is not UTF-8; accepted: text in UTF-8"
        ) from error


def _json_rows(path: Path, text: str) -> Iterator[dict[str, Any]]:
    lines = (line for line in text.split("\n") if line.strip())
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}, row {number}: not JSON: {error}") from error
        if isinstance(row, dict) and re.search("[\ud800-\udfff]", "".join(row)):
            raise InputError(f"{path}, row {number}: half a character (a lone surrogate) in a column's name")
        if not isinstance(row, dict):
            raise InputError(f"{path}, row {number}: got {type(row).__name__}; accepted: an object with columns")
        yield row


def _read_separated(path: Path, text: str, suffix: str) -> pd.DataFrame:
    """Rows of a CSV (quoted fields may hold commas and newlines) or a TSV (quotes are part of the text)."""
    csv.field_size_limit(2**31 - 1)
    lines: Iterable[list[str]]
    if suffix == ".tsv":
        lines = (line.rstrip("\r").split("\t") for line in text.split("\n") if line.rstrip("\r"))
    else:
        lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    _check_separator(path, text.lstrip("\r\n").split("\n", 1)[0], suffix)
    header: list[str] | None = None
    rows: list[list[str]] = []
    try:
        for fields in filter(None, lines):
            if header is None:
                header = fields
                _check_header(path, header)
            elif len(fields) != len(header):
                raise InputError(
                    f"{path}, row {len(rows) + 1}: {len(fields)} fields; accepted: {len(header)}, as the header names"
                )
            else:
                rows.append(fields)
    except csv.Error as error:
        position = f"row {len(rows) + 1}" if header else "header"
        raise InputError(f"{path}, {position}: broken: {error}") from error
    return pd.DataFrame(rows, columns=header or [], dtype=object)


def _check_separator(path: Path, header: str, suffix: str) -> None:
    """Raise InputError for a header that has another separator than the suffix says: spreadsheets differ."""
    separator = "\t" if suffix == ".tsv" else ","
    names = {"\t": "tabs", ",": "commas", ";": "semicolons"}
    other = max(names, key=header.count)
    if separator not in header and other in header:
        raise InputError(
            f"{path}: the header is separated by {names[other]}; accepted: {names[separator]} in a {suffix}"
        )


def _check_header(path: Path, header: list[str]) -> None:
    duplicates = {name for name in header if header.count(name) > 1}
    if duplicates:
        raise InputError(f"{path}: duplicate column {shown(min(duplicates))} in the header")
