"""Prepared files: what is written is what is read."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.data import texts as texts_module
from pipeline.data.texts import Texts, as_texts, no_labels, read_prepared, read_texts, write_texts
from pipeline.errors import InputError

NAMES = ["negative", "positive"]
anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def assert_same(one, other):
    assert (one.ids, one.texts, one.pairs, one.names) == (other.ids, other.texts, other.pairs, other.names)
    assert one.labels.dtype == other.labels.dtype
    np.testing.assert_array_equal(one.labels, other.labels)


@pytest.fixture
def texts():
    return Texts(["target-000001", "target-000007"], ["good", "bad\n'"], None, np.asarray([1, 0]), NAMES)


@pytest.fixture
def few_rows_at_once(monkeypatch):
    monkeypatch.setattr(texts_module, "WRITTEN_ROWS", 2)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@pytest.mark.usefixtures("few_rows_at_once")
@given(
    rows=st.lists(st.tuples(anything, anything, st.integers(0, 1), st.floats(-1e9, 1e9, width=32)), min_size=1),
    paired=st.booleans(),
    regression=st.booleans(),
)
def test_read_is_what_was_written(tmp_path, rows, paired, regression):
    one, other, classes, numbers = (list(column) for column in zip(*rows, strict=True))
    labels = np.asarray(numbers, dtype=np.float32) if regression else np.asarray(classes, dtype=np.int64)
    ids = [f"source-{row:06d}" for row in range(len(rows))]
    made = Texts(ids, one, other if paired else None, labels, [] if regression else NAMES)
    write_texts(tmp_path / "a.parquet", made, "source")
    assert_same(read_texts(tmp_path / "a.parquet"), made)
    assert len(made) == len(rows)
    some = as_texts(read_prepared(tmp_path / "a.parquet").take([len(rows) - 1, 0]), tmp_path / "a.parquet")
    assert some.ids == [ids[-1], ids[0]]
    assert some.pairs == (made.pairs and [other[-1], other[0]])
    np.testing.assert_array_equal(some.labels, labels[[-1, 0]])


@pytest.mark.parametrize("names", [NAMES, []])
def test_no_texts_at_all(tmp_path, names):
    made = Texts([], [], None, np.zeros(0, dtype=np.int64 if names else np.float32), names)
    write_texts(tmp_path / "a.parquet", made, "source")
    assert_same(read_texts(tmp_path / "a.parquet"), made)


@pytest.mark.parametrize(("names", "absent"), [(NAMES, -1), ([], np.nan)])
def test_texts_without_labels(tmp_path, names, absent):
    made = Texts(["unlabelled-000003"], ["good"], ["or not"], no_labels(1, names), names)
    np.testing.assert_array_equal(made.labels, [absent])
    assert made.label(0) is None
    write_texts(tmp_path / "a.parquet", made, "unlabelled")
    assert pq.read_table(tmp_path / "a.parquet")["label"].null_count == 1
    assert_same(read_texts(tmp_path / "a.parquet"), made)


@pytest.mark.parametrize("names", [NAMES, []])
def test_only_unlabelled_texts_lack_labels(tmp_path, names):
    file = tmp_path / "a.parquet"
    write_texts(file, Texts(["target-000003"], ["good"], None, no_labels(1, names), names), "target")
    with pytest.raises(InputError, match=r"a\.parquet: not a file of prepared texts, or damaged"):
        read_texts(file)
    write_texts(
        file, Texts(["target-000003"], ["good"], None, np.ones(1, no_labels(0, names).dtype), names), "unlabelled"
    )
    with pytest.raises(InputError, match=r"damaged \(a label in the domain unlabelled\)"):
        read_texts(file)


def test_what_anyone_can_read_in_the_file(tmp_path, texts):
    write_texts(tmp_path / "a.parquet", texts, "target")
    table = pq.read_table(tmp_path / "a.parquet")
    assert table.to_pylist() == [
        {"id": "target-000001", "text": "good", "text_pair": None, "label": "positive"},
        {"id": "target-000007", "text": "bad\n'", "text_pair": None, "label": "negative"},
    ]
    assert json.loads(table.schema.metadata[b"l2a"]) == {
        "task": "classification",
        "labels": ["negative", "positive"],
        "domain": "target",
        "format": 1,
    }


def test_numbers_are_written_as_a_person_would(tmp_path):
    write_texts(tmp_path / "a.parquet", Texts(["a"], ["b"], None, np.asarray([0.1], dtype=np.float32), []), "target")
    table = pq.read_table(tmp_path / "a.parquet")
    assert table.schema.field("label").type == pa.float64()
    assert table["label"].to_pylist() == [0.1]


def test_the_same_texts_give_the_same_bytes(tmp_path, texts):
    for name in ("a", "b"):
        write_texts(tmp_path / name / "x.parquet", texts, "target")
    assert (tmp_path / "a/x.parquet").read_bytes() == (tmp_path / "b/x.parquet").read_bytes()


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"train\.parquet: no such file; run the prepare stage first"):
        read_texts(tmp_path / "train.parquet")


def rewritten(path, *, note=None, **columns):
    """Change columns or the note of a prepared file."""
    table = pq.read_table(path)
    whole = {name: table[name].to_pylist() for name in table.column_names} | columns
    types = {"label": pa.int64()} if "label" in columns and isinstance(columns["label"][0], int) else {}
    fields = [(name, types.get(name, pa.string())) for name, values in whole.items() if values is not None]
    kept = json.loads(table.schema.metadata[b"l2a"]) | (note or {})
    schema = pa.schema(fields, metadata={"l2a": json.dumps(kept)})
    pq.write_table(pa.table([whole[name] for name, _ in fields], schema=schema), path)


OTHER = ": not a file of prepared texts, or damaged ("


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"note": {"format": 2}}, f"{OTHER}format 2, accepted: 1"),
        ({"note": {"labels": ["good", "bad"]}}, f"{OTHER}'positive'"),
        ({"label": [1, 0]}, f"{OTHER}'1'"),
        ({"text_pair": None}, f"{OTHER}columns id: string, text: string, label: string"),
        ({"text": ["a", None]}, ", column 'text': 1 without a value; run the prepare stage again"),
        ({"text_pair": ["a", None]}, ": 1 of 2 rows have a second text; accepted: all or none"),
    ],
)
def test_another_file_than_prepare_writes(tmp_path, texts, change, expected):
    path = tmp_path / "a.parquet"
    write_texts(path, texts, "target")
    rewritten(path, **change)
    with pytest.raises(InputError) as caught:
        read_texts(path)
    assert str(caught.value).startswith(f"{path}{expected}")


def test_a_file_cut_short(tmp_path, texts):
    path = tmp_path / "a.parquet"
    write_texts(path, texts, "target")
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="damaged"):
            read_texts(path)


def test_a_bit_gone_wrong_is_noticed_or_harmless(tmp_path, texts):
    path = tmp_path / "a.parquet"
    write_texts(path, texts, "target")
    whole = path.read_bytes()
    refused = 0
    for offset in range(0, len(whole), 5):
        path.write_bytes(whole[:offset] + bytes([whole[offset] ^ 1]) + whole[offset + 1 :])
        try:
            assert_same(read_texts(path), texts)
        except InputError:
            refused += 1
    assert refused > 100


def test_a_parquet_file_of_someone_else(tmp_path):
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="not a file of prepared texts"):
        read_texts(tmp_path / "a.parquet")
