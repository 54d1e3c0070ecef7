"""Reading one CSV, TSV, JSON, JSONL or Parquet file whole into a table."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.addresses.resolve import TABLE_SUFFIXES, not_copied
from pipeline.data.quoting import shown
from pipeline.errors import InputError, nearest, one_line

_ENCLOSED = re.compile(r'(?:^|[\t\n])"((?:[^"\t\n]|"")*)"(?=[\t\r\n]|$)')
"""A field of a TSV in quotes, on one line."""


def read_file(path: Path, key: str) -> pd.DataFrame:
    """Read one file; cells have the types of the format, and blank lines are not rows.

    Where a Parquet file written by `datasets` has names for the indices of classes, cells have the names, and `attrs`
    of the table lists them by column.

    Args:
        key: the parameter that names the file, for errors: `data.source`.

    Raises InputError naming the file and the row, or the parameter if there is no such file.
    """
    suffix = path.suffix.lower()
    if path.is_dir():
        raise InputError(f"{key}.path: {path} is a folder; accepted: a file, or a pattern such as {path / '*'}.csv")
    if suffix not in TABLE_SUFFIXES:
        raise InputError(f"{key}.path: {path} is not a table file; accepted: {', '.join(TABLE_SUFFIXES)}")
    if not path.is_file():
        siblings = {entry.name for entry in path.parent.glob("*")} if path.parent.is_dir() else set()
        close = nearest(path.name, sorted(siblings - {path.name}))
        raise InputError(f"{key}.path: no such file: {path}{close}{not_copied(path)}")
    if path.stat().st_size == 0:
        raise InputError(f"{key}.path: {path} is empty")
    if suffix == ".parquet":
        return _read_parquet(path)
    if suffix == ".csv":
        return _read_csv(path)
    text = _decode(path)
    return _read_tsv(path, text) if suffix == ".tsv" else pd.DataFrame(list(_json_rows(path, text)), dtype=object)


def _read_parquet(path: Path) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read()
        header = [str(name) for name in table.column_names]
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{path}: not a Parquet file: {one_line(error)}") from error
    header = _named(path, header)
    columns = [
        _python_values(column, f"{path}, column {name!r}") for name, column in zip(header, table.columns, strict=True)
    ]
    frame = pd.DataFrame(dict(zip(header, columns, strict=True)), columns=header, dtype=object)
    try:
        features = json.loads((table.schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return frame
    return with_class_names(frame, features)


def _python_values(column: Any, where: str) -> list[Any]:
    """A column of Arrow as Python values: integers stay integers beside missing values, and invalid UTF-8 raises."""
    try:
        return column.to_pylist()
    except (OverflowError, ValueError) as error:
        raise InputError(
            f"{where}: a {column.type} that cannot be read: {' '.join(str(error).split())}; "
            "accepted: other values, or the table without the column"
        ) from error


def with_class_names(frame: pd.DataFrame, features: Any) -> pd.DataFrame:
    """Put the names of classes in place of their indices, and none for -1; `attrs` lists the names by column.

    Args:
        features: of each column, as `datasets` writes them: `{"label": {"names": [...], "_type": "ClassLabel"}}`.
    """
    classes = {
        str(column): [str(name) for name in feature["names"]]
        for column, feature in (features.items() if isinstance(features, dict) else ())
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and feature.get("names")
    }
    classes = {column: names for column, names in classes.items() if column in frame}
    named = {
        column: [
            names[int(cell)] if cell in range(len(names)) else None if cell == -1 else cell for cell in frame[column]
        ]
        for column, names in classes.items()
    }
    frame = frame.assign(
        **{column: pd.Series(cells, index=frame.index, dtype=object) for column, cells in named.items()}
    )
    for column, names in classes.items():
        frame.attrs[column] = names
    return frame


def _decode(path: Path) -> str:
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        found = f"byte 0x{raw[error.start]:02x} is not UTF-8"
        raise InputError(f"{path}, line {line}: {found}; accepted: text in UTF-8") from error


def _json_rows(path: Path, text: str) -> Iterator[dict[str, Any]]:
    """The objects of a file: one a line, or all in one array."""
    values: Iterable[tuple[int, Any]] = _json_lines(path, text)
    # Of several lines it reads the first.
    with suppress(ValueError, RecursionError):
        match json.loads(text):
            case list(rows) if all(isinstance(row, dict) for row in rows):
                values = enumerate(rows, start=1)
            case dict(columns) if any(isinstance(each, dict | list) for each in columns.values()):
                accepted = "an object a line, or one array of them (pandas: to_json(orient='records'))"
                raise InputError(f"{path}: one object with lists or objects in it, not rows; accepted: {accepted}")
    for number, row in values:
        if isinstance(row, dict) and re.search("[\ud800-\udfff]", "".join(row)):
            raise InputError(f"{path}, row {number}: half a character (a lone surrogate) in a column's name")
        if not isinstance(row, dict):
            raise InputError(f"{path}, row {number}: got {type(row).__name__}; accepted: an object with columns")
        yield row


def _json_lines(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    lines = (line for line in text.split("\n") if line.strip())
    for number, line in enumerate(lines, start=1):
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError) as error:
            accepted = "; accepted: an object with columns a line, or one array of such objects"
            raise InputError(f"{path}, row {number}: not JSON: {error}{accepted}") from error


def _read_csv(path: Path) -> pd.DataFrame:
    """Rows whose quoted fields may hold separators and newlines."""
    csv.field_size_limit(2**31 - 1)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            separator = _csv_separator(next((line for line in file if line.strip("\r\n")), ""))
            file.seek(0)
            return _table(path, csv.reader(file, delimiter=separator, strict=True, skipinitialspace=True))
    except UnicodeDecodeError:
        # It names the line.
        _decode(path)
        raise


def _read_tsv(path: Path, text: str) -> pd.DataFrame:
    """Rows whose quotes are part of the text unless they plainly enclose fields: see `_quoted_rows`."""
    csv.field_size_limit(2**31 - 1)
    _check_tabs(path, text.lstrip("\r\n").split("\n", 1)[0])
    literal = [line.rstrip("\r").split("\t") for line in text.split("\n") if line.rstrip("\r")]
    quoting = (
        " (quotes are part of a TSV's text unless every field that begins with one also ends with one "
        "and doubles those inside; save it as such, or as .csv)"
    )
    return _table(path, _quoted_rows(text, literal) or literal, quoting if '"' in text else "")


def _table(path: Path, lines: Iterable[list[str]], quoting: str = "") -> pd.DataFrame:
    """A table of a header and rows.

    Args:
        quoting: is added to the error for a row of another length.
    """
    header: list[str] | None = None
    columns: list[list[str]] = []
    try:
        for fields in filter(None, lines):
            if header is None:
                header = _named(path, fields)
                columns = [[] for _ in header]
            elif len(fields) != len(header):
                raise InputError(
                    f"{path}, row {len(columns[0]) + 1}: {len(fields)} fields; accepted: {len(header)}, as the header "
                    f"names{quoting}"
                )
            else:
                for column, field in zip(columns, fields, strict=True):
                    column.append(field)
    except csv.Error as error:
        position = f"row {len(columns[0]) + 1}" if header else "header"
        raise InputError(f"{path}, {position}: broken: {error}") from error
    return pd.DataFrame(dict(zip(header or [], columns, strict=True)), columns=header or [], dtype=object)


def _quoted_rows(text: str, literal: list[list[str]]) -> list[list[str]] | None:
    """The rows of a TSV whose quotes plainly enclose fields, else None.

    They do if every field that begins with a quote also ends with one, the rows are as long as the header, and one of
    these is true: without quoting the rows are not (a tab or a newline is enclosed), an enclosed field has a doubled
    quote, or the header is enclosed.

    Args:
        literal: the rows if quotes are part of the text.
    """
    if '"' not in text or not literal:
        return None
    even = all(len(row) == len(literal[0]) for row in literal)
    header = all(len(name) > 1 and name[0] == name[-1] == '"' for name in literal[0])
    if even and not header and not any('""' in match[1] for match in _ENCLOSED.finditer(text)):
        return None
    try:
        rows = list(filter(None, csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True)))
    except csv.Error:
        return None
    return rows if all(len(row) == len(rows[0]) for row in rows) else None


def _csv_separator(header: str) -> str:
    """What separates the header of a .csv: commas or, as spreadsheets differ, semicolons or tabs."""
    bare = re.sub(r'"[^"]*"', "", header)
    return "," if "," in bare else max(",;\t", key=bare.count)


def _check_tabs(path: Path, header: str) -> None:
    """Raise InputError if the header of a .tsv is separated by another sign."""
    other = max(",;", key=header.count)
    if "\t" not in header and other in header:
        names = {",": "commas", ";": "semicolons"}
        raise InputError(
            f"{path}: the header is separated by {names[other]}; accepted: tabs in a .tsv, or the name .csv"
        )


def _named(path: Path, header: list[str]) -> list[str]:
    """The header with a name for columns that have none: `column 3`. Raises InputError for a name that two have."""
    duplicates = {name for name in header if name.strip() and header.count(name) > 1}
    if duplicates:
        raise InputError(f"{path}: duplicate column {shown(min(duplicates))} in the header")
    return [
        name if name.strip() or f"column {number}" in header else f"column {number}"
        for number, name in enumerate(header, start=1)
    ]
