"""Tables of texts to predict, and the same tables with the answers."""

import csv
import datetime
import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import InputError
from pipeline.serving.table import check_answers, read_table, write_answers

TEXTS = ["a good film", 'so, dull\n"and" long', "lone\rreturn", "çà", ""]


def answered(rows):
    return [row | {"predicted": "good", "probability": 0.75} for row in rows]


def write(path, answers):
    """Read a table, answer it, write it. Returns the rows read."""
    rows = read_table(path, "text", None)
    assert write_answers(iter(answered(rows)), answers, path) == len(rows)
    return rows


@pytest.mark.parametrize(("suffix", "separator"), [(".csv", ","), (".csv", ";"), (".tsv", "\t")])
def test_a_csv_keeps_its_cells(tmp_path, suffix, separator):
    texts = TEXTS if suffix == ".csv" else ["a good film", "çà"]
    path, answers = tmp_path / f"new{suffix}", tmp_path / "answers.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=separator, quoting=csv.QUOTE_MINIMAL, lineterminator="\r\n")
        writer.writerows([["id", "text"], *enumerate(texts)])
    assert [row["text"] for row in write(path, answers)] == texts
    with answers.open(newline="", encoding="utf-8") as file:
        written = list(csv.reader(file))
    assert written[0] == ["id", "text", "predicted", "probability"]
    assert written[1:] == [[str(number), text, "good", "0.75"] for number, text in enumerate(texts)]


def test_parquet_keeps_its_types_and_missing_values(tmp_path):
    table = pa.table(
        {
            "text": ["a", None],
            "day": [datetime.date(2024, 2, 29), None],
            "time": pa.array([1_700_000_000_123_456_789, None], pa.timestamp("ns", "UTC")),
            "stars": pa.array([None, 5], pa.int8()),
            "share": pa.array([0.1, None], pa.float32()),
            "tags": [["x", "y"], []],
        }
    )
    pq.write_table(table.replace_schema_metadata({"huggingface": "{}", "ours": "x"}), tmp_path / "in.parquet")
    assert [row["text"] for row in write(tmp_path / "in.parquet", tmp_path / "out.parquet")] == ["a", ""]
    written = pq.read_table(tmp_path / "out.parquet")
    assert written.select(table.column_names).cast(table.schema).equals(table)
    assert written.schema.field("time").type == table.schema.field("time").type
    assert written.schema.metadata == {b"ours": b"x"}
    assert written.column_names[-2:] == ["predicted", "probability"]


def test_an_array_becomes_lines_without_nan(tmp_path):
    (tmp_path / "in.json").write_text('[{"text": 5, "note": "\\ud800"}, {"text": "fine", "n": 1}]')
    assert [row["text"] for row in write(tmp_path / "in.json", tmp_path / "out.jsonl")] == ["5", "fine"]
    lines = (tmp_path / "out.jsonl").read_text(encoding="ascii").splitlines()
    given = [{"text": "5", "note": "\ud800", "n": None}, {"text": "fine", "note": None, "n": 1}]
    assert [json.loads(line) for line in lines] == answered(given)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty; accepted: a table with a header"),
        ("text\n", "has no rows; accepted: a row for each text"),
        ("review,stars\nfine,5\n", "has no column 'text'; accepted: --text with one of review, stars; or a .txt file"),
        ("texts\nfine\n", "has no column 'text'; accepted: --text with one of texts; nearest: texts; or"),
        ("text,predicted\nfine,good\n", "has 'predicted' already, which is where the answer goes"),
        ("text,a\nfine\n", "row 1: 1 fields; accepted: 2"),
    ],
)
def test_tables_without_texts_are_refused(content, message, tmp_path):
    (tmp_path / "new.csv").write_text(content)
    with pytest.raises(InputError, match=message):
        read_table(tmp_path / "new.csv", "text", None)


@pytest.mark.parametrize("content", [[b"bytes"], [["a", "b"]], [{"a": 1}]])
def test_what_is_no_text_is_refused(content, tmp_path):
    pq.write_table(pa.table({"text": content}), tmp_path / "new.parquet")
    with pytest.raises(InputError, match=r"new\.parquet, column 'text', row 1: got (bytes|list|dict); accepted: text"):
        read_table(tmp_path / "new.parquet", "text", None)


def test_second_texts_that_are_named_must_be_there(tmp_path):
    (tmp_path / "new.csv").write_text("text,other\na,b\n")
    with pytest.raises(InputError, match="has no column 'othr'; accepted: --text-pair with one of text, other; near"):
        read_table(tmp_path / "new.csv", "text", "othr")
    assert read_table(tmp_path / "new.csv", "text", "other") == [{"text": "a", "other": "b"}]


def test_answers_go_to_another_file_of_the_same_format(tmp_path):
    table = tmp_path / "new.csv"
    table.write_text("text\na\n")
    (tmp_path / "folder.csv").mkdir()
    for answers, given, message in (
        ("a.xlsx", table, r"--answers: got .*/a\.xlsx; accepted: a \.csv file, for a \.csv file"),
        ("a.csv", None, r"--answers: got no --file; accepted: --file with one of \.csv, "),
        ("a.csv", tmp_path / "lines.txt", r"--answers: got .*/lines\.txt; accepted: --file with one of \.csv, "),
        ("new.csv", table, "--answers: got the file that --file names"),
        ("folder.csv", table, r"--answers: .*/folder\.csv is a folder; accepted: a file"),
        ("new.csv/a.csv", table, re.escape(f"--answers: {table}/a.csv cannot be written: {table} is a file")),
    ):
        with pytest.raises(InputError, match=message):
            check_answers(tmp_path / answers, given)
    check_answers(tmp_path / "other.csv", table)
