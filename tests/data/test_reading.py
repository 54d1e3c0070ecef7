"""Files of every format: any text comes back as it was, and a broken file is one line."""

import json
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError

anything = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30)
labels = st.sampled_from(["negative", "positive"])
each_in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


@each_in_one_folder
@given(rows=st.lists(st.tuples(anything, labels), min_size=1, max_size=8))
def test_jsonl_gives_back_any_text(tmp_path, rows, load, written):
    file = written(tmp_path / "a.jsonl", "\n".join(json.dumps({"text": text, "label": label}) for text, label in rows))
    table = load(file)
    assert list(zip(table["text"], table["label"], strict=True)) == rows
    assert table["row"].tolist() == list(range(1, len(rows) + 1))


@each_in_one_folder
@given(rows=st.lists(st.tuples(anything, labels), min_size=1, max_size=8))
def test_csv_gives_back_any_text(tmp_path, rows, load, written):
    quoted = ['"' + text.replace('"', '""') + f'",{label}' for text, label in rows]
    file = written(tmp_path / "a.csv", "\r\n".join(["text,label", *quoted]))
    assert load(file)["text"].tolist() == [text for text, _ in rows]


@each_in_one_folder
@given(rows=st.lists(st.tuples(anything, labels), min_size=1, max_size=8))
def test_parquet_gives_back_any_text(tmp_path, rows, load):
    pd.DataFrame(rows, columns=["text", "label"]).to_parquet(tmp_path / "a.parquet")
    assert load(tmp_path / "a.parquet")["text"].tolist() == [text for text, _ in rows]


@each_in_one_folder
@given(
    rows=st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters='\t\n\r\x00"'), max_size=20), min_size=1
    )
)
def test_tsv_gives_back_any_text_without_tabs_newlines_and_quotes(tmp_path, rows, load, written):
    file = written(tmp_path / "a.tsv", "text\tlabel\n" + "".join(f"{text}\tx\n" for text in rows))
    assert load(file)["text"].tolist() == rows


def test_csv_fields_hold_newlines_commas_and_line_separators(tmp_path, load, written):
    file = written(
        tmp_path / "a.csv", 'text,label\n"one,\ntwo ""three""",1\nfour\u2028five\x0bsix\x85seven,0\n"a\r\nb",1\n'
    )
    table = load(file)
    assert table["text"].tolist() == ['one,\ntwo "three"', "four\u2028five\x0bsix\x85seven", "a\r\nb"]
    assert table["label"].tolist() == ["1", "0", "1"]


def test_tsv_quotes_are_characters(tmp_path, load, written):
    file = written(tmp_path / "a.tsv", 'label\ttext\r\n1\t" an odd quote\r\n\r\n0\tsays "no"\r\n')
    assert load(file)["text"].tolist() == ['" an odd quote', 'says "no"']


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path, load, written):
    assert load(written(tmp_path / "a.csv", b"\xef\xbb\xbftext,label\na,1\n"))["text"].tolist() == ["a"]


def test_blank_lines_are_no_rows(tmp_path, load, written):
    csv = written(tmp_path / "a.csv", "\n\ntext,label\n\na,1\n\nb,0\n")
    jsonl = written(tmp_path / "a.jsonl", '\n{"text": "a", "label": 1}\n\n{"text": "b", "label": 0}\n')
    for table in (load(csv), load(jsonl)):
        assert table["row"].tolist() == [1, 2]
        assert table["label"].tolist() == ["1", "0"]


def test_numbers_of_parquet_are_the_labels_a_person_would_write(tmp_path, load):
    pd.DataFrame({"text": ["a", "b", "c"], "label": [1.0, 0.0, 0.25]}).to_parquet(tmp_path / "a.parquet")
    assert load(tmp_path / "a.parquet")["label"].tolist() == ["1", "0", "0.25"]


def test_the_index_of_a_frame_is_a_column_like_the_others(tmp_path, load):
    pd.DataFrame({"text": ["a", "b"], "label": ["x", "y"]}).set_index("text").to_parquet(tmp_path / "a.parquet")
    assert load(tmp_path / "a.parquet")["text"].tolist() == ["a", "b"]


@pytest.mark.parametrize("separator", ";\t")
def test_a_csv_of_a_spreadsheet_that_separates_otherwise(tmp_path, separator, load, written):
    lines = ["text,label", '"good, they\nsay",1', '"so ""so""",0']
    file = written(tmp_path / "a.csv", "\n".join(lines).replace("good, they", "good; they").replace(",", separator))
    table = load(file)
    assert table["text"].tolist() == ["good; they\nsay", 'so "so"']
    assert table["label"].tolist() == ["1", "0"]


def test_a_comma_within_a_name_does_not_separate(tmp_path, load, written):
    file = written(tmp_path / "a.csv", '"text, de";label\ngut;1\n')
    assert load(file, columns={"text": "text, de"})["text"].tolist() == ["gut"]


def test_another_separator_in_a_tsv(tmp_path, complaint, written):
    assert complaint(written(tmp_path / "a.tsv", "\ntext,label\ngood,1\n")) == (
        f"{tmp_path / 'a.tsv'}: the header is separated by commas; accepted: tabs in a .tsv, or the name .csv"
    )


def test_columns_without_a_name_have_a_number(tmp_path, load, written):
    file = written(tmp_path / "a.csv", "v1,v2,,,\nham,hello there,,,\nspam,win,x,,\n")
    assert load(file, columns={"text": "v2", "label": "v1"})["label"].tolist() == ["ham", "spam"]
    assert load(file, columns={"text": "column 3", "label": "v1"})["text"].tolist() == ["", "x"]


def test_a_json_file_is_an_array_or_lines(tmp_path, load, complaint, written):
    rows = [{"text": "a\n[", "label": "x"}, {"text": "b", "label": "y"}]
    lines = "\n".join(map(json.dumps, rows))
    for name, content in {"a.json": json.dumps(rows, indent=1), "b.jsonl": json.dumps(rows), "c.json": lines}.items():
        assert load(written(tmp_path / name, content))["text"].tolist() == ["a\n[", "b"]
    assert complaint(written(tmp_path / "d.json", '{\n"text": "a"')).endswith(
        "; accepted: an object with columns a line, or one array of such objects"
    )


@pytest.mark.parametrize("orient", ["columns", "split", "list", "table"])
def test_a_json_file_of_columns_is_one_line(tmp_path, orient, complaint, written):
    frame = pd.DataFrame({"text": ["a", "b"], "label": ["x", "y"]})
    content = json.dumps(frame.to_dict("list")) if orient == "list" else frame.to_json(orient=orient, indent=1)
    file = written(tmp_path / "a.json", content)
    assert complaint(file) == (
        f"{file}: one object with lists or objects in it, not rows; accepted: an object a line, or one array of them "
        "(pandas: to_json(orient='records'))"
    )


QUOTED = {
    "a doubled quote": ('text\tlabel\n"says ""no"""\tx\nplain\ty\n', ['says "no"', "plain"]),
    "a newline": ('text\tlabel\n"two\nlines"\tx\nplain\ty\n', ["two\nlines", "plain"]),
    "a tab": ('text\tlabel\n"two\twords"\tx\nplain\ty\n', ["two\twords", "plain"]),
    "an enclosed header": ('"text"\t"label"\r\n"one"\t"x"\r\n"two"\t"y"\r\n', ["one", "two"]),
}


@pytest.mark.parametrize("case", QUOTED)
def test_a_tsv_that_is_plainly_quoted(case, tmp_path, load, written):
    content, texts = QUOTED[case]
    table = load(written(tmp_path / "a.tsv", content))
    assert table["text"].tolist() == texts
    assert table["label"].tolist() == ["x", "y"]


@pytest.mark.parametrize("text", ['"a quotation"', '"an odd quote', 'says "no"', '""', '"a ""b"" c'])
def test_a_tsv_that_need_not_be_quoted(text, tmp_path, load, written):
    assert load(written(tmp_path / "a.tsv", f"text\tlabel\n{text}\tx\nb\ty\n"))["text"].tolist() == [text, "b"]


def test_a_tsv_of_which_only_some_is_quoted(tmp_path, complaint, written):
    message = complaint(written(tmp_path / "a.tsv", 'text\tlabel\n"two\nlines"\tx\n"odd\ty\n'))
    assert "row 1: 1 fields; accepted: 2, as the header names (quotes are part of a TSV's text unless " in message


def test_the_names_of_classes_in_a_parquet_file_of_datasets(tmp_path, load):
    features = {"label": {"names": ["no", "yes"], "_type": "ClassLabel"}, "text": {"dtype": "string", "_type": "Value"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    table = pa.table({"text": ["a", "b", "c", "d"], "label": [1, 0, 1, -1]}).replace_schema_metadata(metadata)
    pq.write_table(table, tmp_path / "a.parquet")
    assert load(tmp_path / "a.parquet", where={"label": ["no", 1]})["label"].tolist() == ["yes", "no", "yes"]
    named = load(tmp_path / "a.parquet", labels={0: "negative", "yes": "positive", "": ""})
    assert named["label"].tolist() == ["positive", "negative", "positive", ""]


def test_decimals_of_parquet(tmp_path, load):
    label = [Decimal("4.50"), Decimal("100"), Decimal("0.00")]
    pq.write_table(pa.table({"text": ["a", "b", "c"], "label": pa.array(label)}), tmp_path / "a.parquet")
    assert load(tmp_path / "a.parquet")["label"].tolist() == ["4.5", "100", "0"]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.parquet"])
def test_an_empty_file(tmp_path, name, complaint, written):
    assert complaint(written(tmp_path / name, "")) == f"data.source.path: {tmp_path / name} is empty"


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.csv", "text,label\n"), ("a.tsv", "text\tlabel"), ("a.csv", "\n\n"), ("a.tsv", "\n"), ("a.jsonl", "\n \n")],
)
def test_a_header_without_rows(tmp_path, name, content, complaint, written):
    assert complaint(written(tmp_path / name, content)) == f"data.source.path: {tmp_path / name} has no rows"


def test_parquet_without_rows_or_not_parquet(tmp_path, complaint, written):
    pd.DataFrame({"text": [], "label": []}).to_parquet(tmp_path / "a.parquet")
    assert "has no rows" in complaint(tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    assert "b.parquet: not a Parquet file" in complaint(written(tmp_path / "b.parquet", whole[:-5]))


def test_a_time_in_parquet_that_python_has_no_value_for(tmp_path, complaint):
    file = tmp_path / "far.parquet"
    times = pa.array([0, 2**61], pa.timestamp("us"))
    pq.write_table(pa.table({"text": ["a", "b"], "label": ["x", "y"], "written": times}), file)
    assert complaint(file) == (
        f"{file}, column 'written': a timestamp[us] that cannot be read: date value out of range; "
        "accepted: other values, or the table without the column"
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("text,label\na,x\nb,y,z\n", "row 2: 3 fields; accepted: 2, as the header names"),
        ("text,label\na,x\nb\n", "row 2: 1 fields; accepted: 2, as the header names"),
        ('text,label\na,x\n"b,y\nc,x\n', "row 2: broken: unexpected end of data"),
        ('text,label\na,x\n"b"c,y\n', "row 2: broken"),
        ("text,text\na,x\n", "duplicate column 'text' in the header"),
        ('"text,label\n', "header: broken"),
    ],
)
def test_a_broken_csv(tmp_path, content, expected, complaint, written):
    file = written(tmp_path / "a.csv", content)
    message = complaint(file)
    assert message.startswith(str(file))
    assert expected in message


def test_a_broken_tsv_row(tmp_path, complaint, written):
    assert "row 2: 1 fields" in complaint(written(tmp_path / "a.tsv", "text\tlabel\na\tx\nb\n"))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"text": "a"', "row 2: not JSON"),
        ("[1, 2]", "row 2: got list; accepted: an object with columns"),
        ('{"text": ["a"], "label": 1}', "column 'text', row 2: got list; accepted: text or a number"),
        ('{"text": "\\ud83d", "label": 1}', "column 'text', row 2: half a character"),
        ('{"text": "a"}', "column 'label', row 2: no label"),
        ('{"text": "a", "label": null}', "column 'label', row 2: no label"),
        ('{"text": "a", "label": NaN}', "column 'label', row 2: no label"),
        ('{"text": "a", "label": " "}', "column 'label', row 2: no label; accepted: a value in every row"),
    ],
)
def test_a_broken_jsonl_row(tmp_path, line, expected, complaint, written):
    file = written(tmp_path / "a.jsonl", f'{{"text": "b", "label": 0}}\n\n{line}\n')
    message = complaint(file)
    assert message.startswith(str(file))
    assert expected in message


def test_whole_numbers_of_parquet_stay_whole(tmp_path, load):
    table = pa.table({"text": ["a", "b"], "label": [2**60 + 1, 3], "group": pa.array([None, 7])})
    pq.write_table(table, tmp_path / "a.parquet")
    loaded = load(tmp_path / "a.parquet", columns={"group": "group"})
    assert loaded["label"].tolist() == [str(2**60 + 1), "3"]
    assert loaded["groups"].tolist() == [("",), ("7",)]


def test_missing_labels_of_parquet(tmp_path, complaint):
    pd.DataFrame({"text": ["a", "b"], "label": [1.0, None]}).to_parquet(tmp_path / "a.parquet")
    assert "column 'label', row 2: no label" in complaint(tmp_path / "a.parquet")


def test_another_encoding_names_the_line(tmp_path, complaint, written):
    file = written(tmp_path / "a.csv", "text,label\na,x\ncafé,y\n".encode("latin-1"))
    assert complaint(file) == f"{file}, line 3: byte 0xe9 is not UTF-8; accepted: text in UTF-8"


HEADS = {
    ".csv": b"text,label\na,x\n",
    ".tsv": b"text\tlabel\na\tx\n",
    ".jsonl": b'{"text": "a", "label": "x"}\n',
    ".parquet": b"PAR1",
}
"""The beginning of a file of each format: a whole table of one row, except for Parquet."""


@each_in_one_folder
@given(
    content=st.one_of(st.binary(max_size=60), st.text(list('text,label\t\n\r"\\{}[]:1é'), max_size=60).map(str.encode)),
    suffix=st.sampled_from(sorted(HEADS)),
)
def test_any_content_after_a_head_is_a_table_or_an_input_error(tmp_path, content, suffix, load, written):
    for format_, head in {"none": b"", **HEADS}.items():
        file = written(tmp_path / f"a{suffix}", head + content)
        try:
            table = load(file)
        except InputError as error:
            assert str(file) in str(error)  # noqa: PT017
        else:
            assert len(table) > 0
            if suffix == format_:
                assert (table["text"][0], table["label"][0]) == ("a", "x")


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_a_head_alone_is_a_table_of_one_row(tmp_path, suffix, load, written):
    assert load(written(tmp_path / f"a{suffix}", HEADS[suffix]))["text"].tolist() == ["a"]


@each_in_one_folder
@given(offset=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_a_parquet_file_with_one_wrong_byte_is_a_table_or_an_input_error(tmp_path, offset, byte, load, written):
    whole = tmp_path / "whole.parquet"
    if not whole.exists():
        pd.DataFrame({"text": ["a", "bé", None] * 9, "label": ["x", "y", "z"] * 9}).to_parquet(whole)
    assert load(whole)["text"].tolist() == ["a", "bé", ""] * 9
    content = bytearray(whole.read_bytes())
    content[offset % len(content)] = byte
    file = written(tmp_path / "a.parquet", bytes(content))
    try:
        table = load(file)
    except InputError as error:
        assert str(file) in str(error)  # noqa: PT017
        assert bytes(content) != whole.read_bytes()
    else:
        assert len(table) > 0


def test_half_a_character_in_a_column_s_name(tmp_path, load, written):
    file = written(tmp_path / "a.jsonl", '{"text": "a", "label": "x"}\n{"te\\ud800xt": "b", "label": "y"}\n')
    with pytest.raises(InputError, match=r"a\.jsonl, row 2: half a character \(a lone surrogate\) in a column's name$"):
        load(file)
