"""Tables whose texts are to be predicted, read as the project's own data are, and tables of the answers."""

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.addresses.resolve import TABLE_SUFFIXES
from pipeline.data.quoting import listed, shown
from pipeline.errors import InputError, nearest
from pipeline.serving.predict import ANSWER, Row, check_text
from pipeline.storage.atomic import publish_file

SUFFIXES = (".csv", ".jsonl", ".parquet")
"""Suffixes of the tables that answers are written to."""


def is_table(path: Path) -> bool:
    """Whether a file is read whole, as a table; JSONL is read a line at a time, and other files are lines of text."""
    return path.suffix.lower() in TABLE_SUFFIXES and path.suffix.lower() != ".jsonl"


def read_table(path: Path, text: str, text_pair: str) -> list[Row]:
    """The rows of a CSV, TSV, JSON or Parquet file, whose texts are made strings; in any other column cells stay.

    Args:
        text: the column of the texts.
        text_pair: the column of the second texts of pairs, which the table may lack.

    Raises InputError naming the file and the column or row.
    """
    # Lines and single texts are answered without pandas, which takes half a second to import.
    from pipeline.data.cells import as_text
    from pipeline.data.reading import read_file

    frame = read_file(path, "--file")
    header = [str(column) for column in frame.columns]
    if text not in header:
        raise InputError(
            f"{path} has no column {shown(text)}; accepted: --text with one of {listed(header)}"
            f"{nearest(text, header)}; or a .txt file of one text a line"
        )
    for column in ANSWER:
        if column in header:
            raise InputError(f"{path} has a column {column!r} already; accepted: a table without answers")
    rows: list[Row] = [dict(zip(header, cells, strict=True)) for cells in frame.itertuples(index=False)]
    for column in {text, text_pair} & set(header):
        for number, row in enumerate(rows, start=1):
            row[column] = check_text(as_text(row[column]), f"{path}, row {number}: {column}")
    return rows


def check_answers(path: Path, source: Path | None) -> None:
    """Raise InputError if answers cannot be written to `path`, or it is the file that they are about."""
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"--answers: {path} is not a table file; accepted: {', '.join(SUFFIXES)}")
    if source and path.exists() and path.samefile(source):
        raise InputError(f"--answers: got the file that --file names: {path}; accepted: another file")


def write_table(answered: Iterable[Row], path: Path) -> int:
    """Write rows to a CSV, JSONL or Parquet file and return their number; columns are in the order met first.

    Raises InputError if values of a column are of several types, which Parquet cannot hold.
    """
    rows = list(answered)
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with publish_file(path) as temporary:
        if path.suffix.lower() == ".parquet":
            _write_parquet(rows, columns, temporary, path)
        elif path.suffix.lower() == ".csv":
            with temporary.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, columns, lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
        else:
            with temporary.open("w", encoding="utf-8") as file:
                file.writelines(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)
    return len(rows)


def _write_parquet(rows: list[Row], columns: list[str], file: Path, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def array(column: str) -> Any:
        try:
            return pa.array([row.get(column) for row in rows])
        except (pa.ArrowException, OverflowError) as error:
            raise InputError(
                f"--answers: column {shown(column)} has values of several types, which {path} cannot hold; "
                "accepted: a .csv or .jsonl file"
            ) from error

    pq.write_table(pa.table([array(column) for column in columns], names=columns), file)
