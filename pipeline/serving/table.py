"""Tables whose texts are to be predicted, read as the project's own data are, and the same tables with the answers."""

import csv
from collections.abc import Iterable
from pathlib import Path

from pipeline.data.quoting import listed, shown
from pipeline.errors import InputError, nearest
from pipeline.serving.predict import ANSWER, Row, check_unanswered
from pipeline.storage.atomic import check_writable, publish_file
from pipeline.storage.json_lines import as_json

FORMATS = {".csv": ".csv", ".tsv": ".csv", ".json": ".jsonl", ".jsonl": ".jsonl", ".parquet": ".parquet"}
"""The suffix of a table with answers, by that of the table."""


def read_table(path: Path, text: str, text_pair: str | None) -> list[Row]:
    """The rows of a CSV, TSV, JSON or Parquet file; their texts are strings, empty where there is none.

    Args:
        text: the column of the texts.
        text_pair: the column of the second texts of pairs; None for single texts, or `text_pair` where there is one.

    Raises InputError naming the file and the column or row.
    """
    # Imported here, because lines and single texts are answered without pandas, which takes half a second to import.
    from pipeline.data.loading import text_cells
    from pipeline.data.reading import read_file

    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty; accepted: a table with a header")
    frame = read_file(path, "--file")
    if frame.empty:
        raise InputError(f"{path} has no rows; accepted: a row for each text")
    header = [str(column) for column in frame.columns]
    check_unanswered(header, str(path))
    for option, column in (("--text", text), ("--text-pair", text_pair)):
        if column is not None and column not in header:
            raise InputError(
                f"{path} has no column {shown(column)}; accepted: {option} with one of {listed(header)}"
                f"{nearest(column, header)}; or a .txt file of one text a line"
            )
    columns = {text, text_pair or "text_pair"} & set(header)
    numbers = range(1, len(frame) + 1)
    cells = {column: frame[column].tolist() for column in header}
    cells |= {column: text_cells(frame[column], numbers, f"{path}, column {column!r}") for column in columns}
    return [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]


def check_answers(answers: Path, table: Path | None) -> None:
    """Raise InputError if the answers for a table cannot be written to a file, or it is that table."""
    if table is None or table.suffix.lower() not in FORMATS:
        raise InputError(f"--answers: got {table or 'no --file'}; accepted: --file with one of {', '.join(FORMATS)}")
    expected = FORMATS[table.suffix.lower()]
    if answers.suffix.lower() != expected:
        raise InputError(f"--answers: got {answers}; accepted: a {expected} file, for a {table.suffix} file")
    check_writable(answers, "--answers", folder=False)
    if answers.exists() and answers.samefile(table):
        raise InputError(f"--answers: got the file that --file names: {answers}; accepted: another file")


def write_answers(answered: Iterable[Row], answers: Path, table: Path) -> int:
    """Write a table with the answers for its rows; returns their number.

    In Parquet its columns stay as they are stored. JSON is written line by line, in constant memory.
    """
    with publish_file(answers) as temporary:
        match answers.suffix.lower():
            case ".jsonl":
                with temporary.open("w", encoding="utf-8") as file:
                    return sum(file.write(as_json(row)) > 0 for row in answered)
            case ".csv":
                rows = list(answered)
                with temporary.open("w", encoding="utf-8", newline="") as file:
                    # With "\r\n", the ends of lines of RFC 4180, a text that has either is quoted.
                    writer = csv.writer(file, lineterminator="\r\n")
                    writer.writerow(rows[0])
                    writer.writerows(row.values() for row in rows)
            case _:
                rows = list(answered)
                _write_parquet(rows, table, temporary)
    return len(rows)


def _write_parquet(rows: list[Row], table: Path, file: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = pq.ParquetFile(table).read()
    for name in ANSWER:
        if name in rows[0]:
            columns = columns.append_column(name, pa.array([row[name] for row in rows]))
    # The features that `datasets` writes there do not have the new columns.
    metadata = {key: value for key, value in (columns.schema.metadata or {}).items() if key != b"huggingface"}
    pq.write_table(columns.replace_schema_metadata(metadata), file)
