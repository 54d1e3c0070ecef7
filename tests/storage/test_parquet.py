"""Parquet files of other programs: other types for the same values are accepted, other values are an error line."""

from contextlib import suppress
from itertools import product

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.storage.columns import COLUMNS
from pipeline.storage.parquet import concatenate, every_nth, read_table, scan, write_table, write_tables


@pytest.fixture
def write(tmp_path):
    def write(columns, name="a.parquet"):
        pq.write_table(pa.table(columns), tmp_path / name)
        return tmp_path / name

    return write


def both(file, columns=()):
    """Read at once and batch by batch, which have to agree."""
    whole = read_table(file, columns, "distill")
    parts = list(scan([file], columns or whole.column_names, "distill"))
    assert pa.Table.from_batches(parts, whole.schema).equals(whole)
    return whole


def test_pandas_has_other_types_for_the_same(tmp_path):
    frame = pd.DataFrame({"id": ["a", "b"], "pi": [0.5, 0.25], "kept": [True, False], "distance": [1, 2]})
    frame["domain"] = pd.Categorical(["source", "target"])
    frame["text_pair"] = None
    frame.to_parquet(tmp_path / "a.parquet")
    table = both(tmp_path / "a.parquet")
    assert {field.name: field.type for field in table.schema} == {
        name: COLUMNS[name].type for name in table.column_names
    }
    assert table.to_pydict() == {
        "id": ["a", "b"],
        "pi": [0.5, 0.25],
        "kept": [True, False],
        "distance": [1, 2],
        "domain": ["source", "target"],
        "text_pair": [None, None],
    }


@pytest.mark.parametrize(
    ("column", "values", "found"),
    [
        ("pi", ["much"], "string"),
        ("kept", ["maybe"], "string"),
        ("distance", [1.5], "double"),
        ("positions", [1], "int64"),
        ("text", [[1]], "list<"),
        ("text", [b"\xff"], "binary"),
        ("logits", [{"a": 1.0}], "struct<"),
    ],
)
def test_other_values(write, column, values, found):
    file = write({"id": ["a"], column: values})
    for read in (read_table, lambda *given: list(scan([given[0]], ["id", column], given[2]))):
        with pytest.raises(InputError) as caught:
            read(file, (), "distill")
        line = str(caught.value)
        assert line.startswith(f"{file}, column {column!r}: got {found}")
        assert f"; accepted: {COLUMNS[column].type}; run the distill stage again" in line


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("id", ["a", None]),
        ("pi", [None, 0.5]),
        ("pi", [np.nan, 0.5]),
        ("pi", [1e300, 0.5]),
        ("label", [np.nan, 1.0]),
        ("logits", [[0.5, None], [0.5, 1.0]]),
        ("logits", [None, [0.5, 1.0]]),
        ("logits", [[0.5, np.inf], [0.5, 1.0]]),
    ],
)
def test_no_value(write, column, values):
    file = write({column: values})
    with pytest.raises(InputError) as caught:
        both(file)
    assert str(caught.value) == f"{file}, column {column!r}: 1 without a value; run the distill stage again"


@pytest.mark.parametrize("labels", [[None, None, 1.0], [None, None, "a"]])
def test_only_unlabelled_texts_have_no_label(write, labels):
    assert both(write({"domain": ["unlabelled", "unlabelled", "source"], "label": labels}))["label"].null_count == 2
    file = write({"domain": ["unlabelled", "target", "source"], "label": labels})
    with pytest.raises(InputError, match=r"column 'label': 1 without a value; run the distill stage again"):
        both(file)


def test_columns_that_may_be_empty(write):
    assert both(write({"id": ["a"], "log_p": [None], "distance": [None]})).num_rows == 1


def test_no_rows(write):
    assert both(write({"id": pa.array([], pa.string())})).num_rows == 0


def test_different_files_of_a_folder(tmp_path):
    one, other = tmp_path / "one.parquet", tmp_path / "other.parquet"
    tables = {one: pa.table({"id": ["x"], "label": ["a"]}), other: pa.table({"id": ["y"], "label": [1.0]})}
    with pytest.raises(InputError) as caught:
        concatenate(tables, "augment")
    assert str(caught.value) == f"{other}: column 'label' is not as in one.parquet; run the augment stage again"


def test_columns_are_in_the_requested_order(write):
    files = [write({"id": ["a"], "pi": [0.5]}, "a.parquet"), write({"pi": [0.25], "id": ["b"]}, "b.parquet")]
    tables = {file: read_table(file, ["id", "pi"], "distill") for file in files}
    assert concatenate(tables, "distill").to_pydict() == {"id": ["a", "b"], "pi": [0.5, 0.25]}


def test_a_column_twice(tmp_path):
    table = pa.table([pa.array(["a"]), pa.array(["b"])], names=["id", "id"])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(
        InputError, match=r"a\.parquet: column 'id' twice; accepted: a file that the distill stage wrote"
    ):
        read_table(tmp_path / "a.parquet", ["id"], "distill")
    with pytest.raises(InputError, match=r"a\.parquet: damaged, or not Parquet \(.*duplicate field"):
        list(scan([tmp_path / "a.parquet"], ["id"], "distill"))


def test_a_class_may_have_another_type(write):
    assert both(write({"label": pa.array(["a", "b"]).dictionary_encode()}))["label"].to_pylist() == ["a", "b"]
    assert both(write({"label": [1, 2]}))["label"].to_pylist() == ["1", "2"]
    assert both(write({"label": pa.array([1, 2], pa.float32())}))["label"].type == pa.float64()
    with pytest.raises(InputError, match=r"column 'label': got list<.*; accepted: string; run the distill stage again"):
        both(write({"label": [["a"], ["b"]]}))


@given(st.lists(st.integers(0, 7), min_size=1, max_size=5), st.integers(1, 9), st.data())
def test_every_nth_row_of_all_batches(sizes, n, data):
    first = data.draw(st.integers(0, n - 1))
    values = [f"text {row}" for row in range(sum(sizes))]
    chunks, start = [], 0
    for size in sizes:
        chunks.append(pa.array(values[start : start + size], pa.string()))
        start += size
    found = every_nth(pa.table({"text": pa.chunked_array(chunks)}), first, n)
    assert found["text"].to_pylist() == values[first::n]


def test_tables_are_written_one_below_the_other(tmp_path):
    tables = [pa.table({"text": part}) for part in (["a", "b"], ["c"])]
    write_tables(iter(tables), tables[0].schema, tmp_path / "a.parquet")
    assert read_table(tmp_path / "a.parquet", [], "prepare")["text"].to_pylist() == ["a", "b", "c"]
    write_tables(iter([]), tables[0].schema, tmp_path / "none.parquet")
    assert read_table(tmp_path / "none.parquet", [], "prepare").equals(tables[0].slice(0, 0))


def test_no_flipped_bit_goes_unnoticed_in_a_column_read_alone(tmp_path):
    """The checksums of pages are not of their headers, nor of the file's metadata."""
    path, rows = tmp_path / "a.parquet", 20
    write_table(pa.table({"text_hash": pa.array(range(rows), pa.int64())}), path)
    content = path.read_bytes()
    for position, bit in product(range(4, len(content)), range(8)):
        path.write_bytes(content[:position] + bytes([content[position] ^ 1 << bit]) + content[position + 1 :])
        for read in (read_at_once, read_in_batches):
            with suppress(InputError):
                assert read(path) == list(range(rows))


def read_at_once(path):
    return read_table(path, ["text_hash"], "cache_teacher")["text_hash"].to_pylist()


def read_in_batches(path):
    return [value for batch in scan([path], ["text_hash"], "cache_teacher") for value in batch["text_hash"].to_pylist()]
