"""Tables of texts to predict, and of answers."""

import csv
import datetime
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import InputError
from pipeline.serving.table import check_answers, is_table, read_table, write_table

ROWS = [{"id": 7, "text": "a good film"}, {"id": 8, "text": 'so, dull\n"and" long'}, {"id": 9, "text": "çà"}]


def write(rows, path):
    write_table(iter(rows), path)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_what_is_written_reads_back(suffix, tmp_path):
    read = read_table(write(ROWS, tmp_path / f"table{suffix}"), "text", "text_pair")
    assert [row["text"] for row in read] == [row["text"] for row in ROWS]
    assert [int(row["id"]) for row in read] == [7, 8, 9]


def test_each_format_has_the_same_rows_to_other_readers(tmp_path):
    answered = [row | {"predicted": "good", "probability": 0.75} for row in ROWS]
    assert pq.read_table(write(answered, tmp_path / "answers.parquet")).to_pylist() == answered
    lines = write(answered, tmp_path / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == answered
    with write(answered, tmp_path / "answers.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == [{name: str(cell) for name, cell in row.items()} for row in answered]


def test_parquet_keeps_types_and_missing_values(tmp_path):
    table = pa.table(
        {
            "text": ["a", None],
            "day": [datetime.date(2024, 2, 29), None],
            "stars": pa.array([None, 5], pa.int64()),
            "tags": [["x", "y"], []],
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    rows = read_table(tmp_path / "in.parquet", "text", "text_pair")
    written = pq.read_table(write(rows, tmp_path / "out.parquet"))
    assert written.column("text").to_pylist() == ["a", ""]
    for column in ("day", "stars", "tags"):
        assert written.column(column).type == table.column(column).type
        assert written.column(column).to_pylist() == table.column(column).to_pylist()


def test_numbers_are_texts_and_rows_may_lack_columns(tmp_path):
    (tmp_path / "in.json").write_text('[{"review": 5, "extra": 1.5}, {"review": "fine", "second": null}]')
    rows = read_table(tmp_path / "in.json", "review", "second")
    assert [row["review"] for row in rows] == ["5", "fine"]
    assert [row["second"] for row in rows] == ["", ""]


def test_lines_of_text_and_of_json_are_no_tables(tmp_path):
    names = ("a.csv", "a.TSV", "a.json", "a.parquet", "a.jsonl", "a.txt", "a")
    assert [is_table(tmp_path / name) for name in names] == [True] * 4 + [False] * 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("review,stars\nfine,5\n", "has no column 'text'; accepted: --text with one of review, stars; or a .txt file"),
        ("texts\nfine\n", "has no column 'text'; accepted: --text with one of texts; nearest: texts; or"),
        ("text,predicted\nfine,good\n", "has a column 'predicted' already; accepted: a table without answers"),
        ("text,a\nfine\n", "row 1: 1 fields; accepted: 2"),
    ],
)
def test_tables_without_texts_are_refused(content, message, tmp_path):
    (tmp_path / "new.csv").write_text(content)
    with pytest.raises(InputError, match=message):
        read_table(tmp_path / "new.csv", "text", "text_pair")


def test_answers_go_to_another_file_of_a_known_format(tmp_path):
    (tmp_path / "new.csv").write_text("text\na\n")
    with pytest.raises(InputError, match=r"--answers: .*/a\.xlsx is not a table file; accepted: \.csv, \.jsonl, "):
        check_answers(tmp_path / "a.xlsx", None)
    with pytest.raises(InputError, match="--answers: got the file that --file names"):
        check_answers(tmp_path / "new.csv", tmp_path / "new.csv")
    check_answers(tmp_path / "other.csv", tmp_path / "new.csv")


def test_a_column_of_several_types_is_named_and_nothing_is_left(tmp_path):
    with pytest.raises(InputError, match="--answers: column 'n' has values of several types"):
        write([{"n": 1}, {"n": "one"}], tmp_path / "a.parquet")
    assert list(tmp_path.iterdir()) == []
