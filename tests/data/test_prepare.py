"""From two tables to four files: which rows are kept or dropped and why, and that all or nothing is written."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.data.leaks import normalise
from pipeline.data.prepare import RowIds, prepare
from pipeline.data.texts import read_texts
from pipeline.errors import InputError
from pipeline.params.schema import Params

SPLITS = ("source", "train", "validation", "test", "teacher_source", "unlabelled")


@pytest.fixture
def made(tmp_path):
    """Run prepare in a folder and return the words, the texts by split, and the metrics."""

    def run(target, source=None, *, name="out", unlabelled=None, **sections):
        tables = {"target": target, "source": source, "unlabelled": unlabelled}
        params = {"data": tables | sections.pop("data", {}), **sections}
        out, metrics = tmp_path / name, tmp_path / f"{name}.json"
        words = prepare(Params.model_validate(params), out=out, metrics=metrics)
        assert sorted(file.name for file in out.iterdir()) == sorted(f"{split}.parquet" for split in SPLITS)
        return words, {split: read_texts(out / f"{split}.parquet") for split in SPLITS}, json.loads(metrics.read_text())

    return run


@pytest.fixture
def refusal(tmp_path, made):
    """Run prepare where it must refuse: one line, and nothing written."""

    def run(*args, **sections):
        before = sorted(tmp_path.iterdir())
        with pytest.raises(InputError) as caught:
            made(*args, **sections)
        assert sorted(tmp_path.iterdir()) == before
        message = str(caught.value)
        assert "\n" not in message
        assert len(message) < 500 + 2 * len(str(tmp_path))
        return message

    return run


def csv(path: Path, **columns) -> str:
    pd.DataFrame(columns).to_csv(path, index=False)
    return str(path)


def numbered(count: int, word: str = "text") -> list[str]:
    return [f"{word} number {row}" for row in range(count)]


@pytest.fixture
def target(tmp_path):
    """A hundred target rows of two classes."""
    path = csv(tmp_path / "target.csv", text=numbered(100), label=["no", "yes"] * 50)
    return {"path": path, "per_class": 4, "validation": 10, "test": 20}


@pytest.fixture
def source(tmp_path):
    """Sixty source rows of the same classes."""
    return {"path": csv(tmp_path / "source.csv", text=numbered(60, "other"), label=["no", "yes", "yes"] * 20)}


def test_sizes_labels_ids_and_words(made, target, source, tmp_path):
    words, texts, metrics = made(target, source)
    assert words == (
        "60 source, 8 train, 10 validation, 20 test texts (0 leaked, 0 duplicate, 0 empty dropped), "
        f"in {tmp_path / 'out'}"
    )
    assert metrics == {
        "task": "classification",
        "commits": {"source": None, "target": None},
        "labels": ["no", "yes"],
        "splits": {
            "source": {"rows": 60, "labels": {"no": 20, "yes": 40}},
            "train": {"rows": 8, "labels": {"no": 4, "yes": 4}},
            "validation": {"rows": 10, "labels": {"no": 5, "yes": 5}},
            "test": {"rows": 20, "labels": {"no": 10, "yes": 10}},
        },
        "read": {"source": 60, "target": 100},
        "dropped": {
            "source": {"empty": 0, "leaked": 0, "conflicting": 0, "duplicate": 0},
            "target": {"empty": 0, "leaked": 0, "conflicting": 0, "duplicate": 0},
        },
        "unused": {"source": 0, "target": 62},
    }
    for split in ("train", "validation", "test"):
        for id_, text, label in zip(texts[split].ids, texts[split].texts, texts[split].labels, strict=True):
            row = int(id_.removeprefix("target-"))
            assert (text, label) == (f"text number {row - 1}", (row - 1) % 2)
    assert texts["source"].ids[0] == "source-000001"
    assert texts["source"].pairs is None


def test_leaked_duplicate_and_empty_rows_go_and_are_counted(made, tmp_path):
    # Every target row but train's two is held out, whatever the seed.
    target = csv(
        tmp_path / "t.csv",
        text=["A good film!", "a GOOD film", " ", "bad film", "dull", "fine", "  Fine ."],
        label=["yes", "yes", "no", "no", "no", "yes", "yes"],
    )
    source = csv(
        tmp_path / "s.csv",
        text=["a good, film", "A good-film.", "Bad film", "DULL", "fine!", "fresh", "Fresh", "", "new"],
        label=["yes"] * 8 + ["no"],
    )
    words, texts, metrics = made({"path": target, "per_class": 1, "validation": 1, "test": 1}, {"path": source})
    held = {normalise(text) for split in ("validation", "test") for text in texts[split].texts}
    kept = {normalise(text) for text in texts["source"].texts}
    assert kept == {"agoodfilm", "badfilm", "dull", "fine", "fresh", "new"} - held
    leaked = 2 + ("agoodfilm" in held)
    assert metrics["dropped"] == {
        "source": {"empty": 1, "leaked": leaked, "conflicting": 0, "duplicate": 2 - ("agoodfilm" in held)},
        "target": {"empty": 1, "leaked": 0, "conflicting": 0, "duplicate": 2},
    }
    assert f"({leaked} leaked, {4 - ('agoodfilm' in held)} duplicate, 2 empty dropped)" in words


def test_either_side_of_a_pair_leaks_and_half_a_pair_is_empty(made, tmp_path):
    columns = {"text": "a", "text_pair": "b"}
    target = csv(tmp_path / "t.csv", a=numbered(40, "left"), b=numbered(40, "right"), label=["no", "yes"] * 20)
    source = csv(
        tmp_path / "s.csv",
        a=[*numbered(40, "LEFT"), *numbered(40, "x"), "", "half", *numbered(20, "y")],
        b=[*numbered(40, "z"), *numbered(40, "Right"), "half", " ", *numbered(20, "w")],
        label=["no", "yes"] * 51,
    )
    sizes = {"rows": 4, "validation": 6, "test": 10}
    _, texts, metrics = made({"path": target, "columns": columns, **sizes}, {"path": source, "columns": columns})
    assert metrics["dropped"]["source"] == {"empty": 2, "leaked": 32, "conflicting": 0, "duplicate": 0}
    assert len(texts["source"]) == 68
    numbers = {text.split()[-1] for split in ("validation", "test") for text in texts[split].texts}
    assert not numbers & {text.split()[-1] for text in texts["source"].texts[:-20]}
    assert texts["train"].pairs == [text.replace("left", "right") for text in texts["train"].texts]


def test_without_a_source_its_file_is_there_and_empty(made, target):
    words, texts, metrics = made(target)
    assert words.startswith("0 source, 8 train")
    assert (len(texts["source"]), texts["source"].names) == (0, ["no", "yes"])
    assert metrics["splits"]["source"] == {"rows": 0, "labels": {"no": 0, "yes": 0}}


def test_the_teacher_s_source_is_the_student_s_or_whole_texts_of_its_sentences(made, target, tmp_path):
    texts = [f"It is the text {row}. Here is another text of {row}." for row in range(60)]
    source = {"path": csv(tmp_path / "s.csv", text=texts, label=["no", "yes", "yes"] * 20), "rows": 30}
    words, whole, metrics = made(target, source)
    assert (tmp_path / "out/source.parquet").read_bytes() == (tmp_path / "out/teacher_source.parquet").read_bytes()
    assert "teacher_source" not in metrics["splits"]

    words, found, metrics = made(target, {**source, "sentences": 24}, name="cut")
    assert words.startswith("24 source, 8 train, 10 validation, 20 test, 30 teacher source texts (0 leaked")
    assert (tmp_path / "out/source.parquet").read_bytes() == (tmp_path / "cut/teacher_source.parquet").read_bytes()
    assert metrics["splits"]["source"] == {"rows": 24, "labels": {"no": 8, "yes": 16}}
    assert metrics["splits"]["teacher_source"] == {"rows": 30, "labels": {"no": 10, "yes": 20}}
    assert metrics["read"]["source_sentences"] == 60
    assert metrics["dropped"]["source_sentences"] == {"leaked": 0, "duplicate": 0}
    assert metrics["unused"] == {"source": 30, "target": 62, "source_sentences": 36}
    for id_, text in zip(found["source"].ids, found["source"].texts, strict=True):
        assert text in whole["source"].texts[whole["source"].ids.index(id_.partition(".")[0])]


def test_no_sentences_of_pairs(tmp_path):
    columns = {"text": "a", "text_pair": "b"}
    data = {"target": {"path": "t.csv", "columns": columns, "rows": 4}}
    with pytest.raises(ValueError, match=r"data\.source\.sentences: got 9, but the source has pairs .* accepted: null"):
        Params.model_validate({"data": data | {"source": {"path": "s.csv", "columns": columns, "sentences": 9}}})


def test_texts_without_labels(made, target, tmp_path):
    held = numbered(100)
    texts = ["New one", " ", "new ONE!", *held[:50], *numbered(30, "fresh")]
    table = {"path": csv(tmp_path / "u.csv", text=texts)}
    words, found, metrics = made(target, unlabelled=table)
    used = {split: {normalise(text) for text in found[split].texts} for split in ("train", "validation", "test")}
    early = {normalise(text) for text in held[:50]}
    out = len(early & (used["validation"] | used["test"]))
    dropped = {"empty": 1, "leaked": out, "in_train": len(early & used["train"]), "duplicate": 1}
    assert metrics["dropped"]["unlabelled"] == dropped
    assert dropped["in_train"] > 0
    kept = found["unlabelled"]
    assert metrics["splits"]["unlabelled"] == {"rows": len(kept)}
    assert (metrics["read"]["unlabelled"], len(kept)) == (83, 83 - sum(dropped.values()))
    assert {normalise(text) for text in kept.texts} == {normalise(text) for text in texts} - set().union(
        *used.values()
    ) - {""}
    assert (kept.ids[0], kept.label(0), kept.names) == ("unlabelled-000001", None, ["no", "yes"])
    assert (
        f", {len(kept)} unlabelled texts ({out} leaked, 1 duplicate, 1 empty, {dropped['in_train']} in train" in words
    )

    _, fewer, metrics = made(target, unlabelled={**table, "rows": 20}, name="fewer")
    assert metrics["unused"]["unlabelled"] == len(kept) - 20
    assert set(fewer["unlabelled"].ids) < set(kept.ids)
    _, more, _ = made(target, unlabelled={**table, "rows": 25}, name="more")
    assert set(fewer["unlabelled"].ids) < set(more["unlabelled"].ids)


def test_the_target_s_table_without_the_rows_that_are_used(made, target):
    table = {"path": target["path"], "labels": {"not": "read"}, "columns": {"label": "none", "group": "none"}}
    _, found, metrics = made(target, unlabelled=table)
    assert len(found["unlabelled"]) == 100 - 8 - 10 - 20
    assert metrics["dropped"]["unlabelled"] == {"empty": 0, "leaked": 30, "in_train": 8, "duplicate": 0}
    ids = {id_.partition("-")[2] for texts in found.values() for id_ in texts.ids}
    assert len(ids) == 100


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_rows_of_the_target_that_have_no_label(made, refusal, tmp_path, task):
    label = ["0", "1", "", "nan"] * 25
    path = csv(tmp_path / "t.csv", text=numbered(100), label=label)
    target = {"path": path, "rows": 10, "validation": 10, "test": 20}
    assert "row 3: no label; accepted: a value in every row" in refusal(target, task=task)
    other = csv(tmp_path / "u.csv", text=numbered(5, "u"))
    assert "row 3: no label; accepted: a value in every row" in refusal(target, task=task, unlabelled={"path": other})
    _, found, metrics = made(target, task=task, unlabelled={"path": path})
    assert metrics["dropped"]["target"]["unlabelled"] == 50
    assert len(found["unlabelled"]) == 60
    _, found, _ = made(target, task=task, unlabelled={"path": path, "where": {"label": ["", "nan"]}}, name="exact")
    assert {int(id_.partition("-")[2]) % 4 for id_ in found["unlabelled"].ids} == {3, 0}


def test_unlabelled_pairs(made, refusal, tmp_path):
    columns = {"text": "a", "text_pair": "b"}
    target = csv(tmp_path / "t.csv", a=numbered(40, "left"), b=numbered(40, "right"), label=["no", "yes"] * 20)
    path = csv(
        tmp_path / "u.csv", a=[*numbered(40, "LEFT"), *numbered(9, "x")], b=[*numbered(40, "z"), *numbered(9, "y")]
    )
    sizes = {"rows": 4, "validation": 6, "test": 10}
    table = {"path": path, "columns": columns}
    _, found, metrics = made({"path": target, "columns": columns, **sizes}, unlabelled=table)
    # A training pair whose first text is the same is another pair.
    assert metrics["dropped"]["unlabelled"] == {"empty": 0, "leaked": 16, "in_train": 0, "duplicate": 0}
    assert found["unlabelled"].pairs is not None
    assert refusal(
        {"path": target, "columns": columns, **sizes}, unlabelled={"path": path, "columns": {"text": "a"}}
    ) == (
        "data.unlabelled.columns.text_pair: the unlabelled table has single texts and the target pairs; "
        "accepted: a second text in both or in neither"
    )


def test_more_unlabelled_rows_than_there_are(refusal, target, tmp_path):
    path = csv(tmp_path / "u.csv", text=[*numbered(5, "u"), ""])
    assert refusal(target, unlabelled={"path": path, "rows": 6}) == (
        "data.unlabelled.rows: got 6; 5 of 6 rows can be used (1 empty, 0 leaked, 0 in train, 0 duplicate)"
    )


def test_source_rows_are_drawn_in_proportion(made, target, source):
    _, texts, metrics = made(target, {**source, "rows": 30})
    assert np.bincount(texts["source"].labels).tolist() == [10, 20]
    assert metrics["unused"]["source"] == 30


def test_regression(made, tmp_path):
    rng = np.random.default_rng(0)
    target = csv(tmp_path / "t.csv", text=numbered(100), label=rng.normal(size=100).round(3))
    source = csv(tmp_path / "s.csv", text=numbered(20, "other"), label=np.arange(20) / 20)
    sizes = {"fraction": 0.25, "validation": 20, "test": 40}
    words, texts, metrics = made({"path": target, **sizes}, {"path": source}, task="regression")
    assert words.startswith("20 source, 10 train, 20 validation, 40 test texts")
    assert texts["train"].names == []
    assert texts["train"].labels.dtype == np.float32
    assert metrics["labels"] == []
    assert metrics["splits"]["source"]["labels"] == {"mean": 0.475, "sd": 0.288314, "min": 0.0, "max": 0.95}
    assert abs(metrics["splits"]["test"]["labels"]["mean"]) < 0.3
    _, _, metrics = made({"path": target, **sizes}, name="alone", task="regression")
    assert metrics["splits"]["source"] == {"rows": 0}


def test_groups_stay_whole_however_they_are_written(made, tmp_path):
    asked = [f"How do I do {row // 4}?" if row % 2 else f"how do i do {row // 4}" for row in range(200)]
    path = csv(tmp_path / "t.csv", text=asked, other=numbered(200), label=["no", "yes", "yes", "no"] * 50)
    columns = {"text": "text", "text_pair": "other", "group": "text"}
    _, texts, _ = made({"path": path, "columns": columns, "per_class": 5, "validation": 30, "test": 41})
    asked_in = [{normalise(text) for text in texts[split].texts} for split in ("train", "validation", "test")]
    assert not asked_in[0] & asked_in[1] | asked_in[0] & asked_in[2] | asked_in[1] & asked_in[2]
    assert [len(texts[split]) for split in ("train", "validation", "test")] == [10, 28, 40]


def test_files_depend_on_the_seed_and_on_nothing_else(made, tmp_path, target, source):
    made(target, source, name="one")
    made(target, source, name="two")
    frame = pd.read_csv(target["path"]).assign(more=1)
    frame[["more", "label", "text"]].to_csv(tmp_path / "turned.csv", index=False)
    made({**target, "path": str(tmp_path / "turned.csv")}, source, name="turned")
    made(target, source, name="seed", seed=2)
    made({**target, "per_class": 10}, source, name="larger")

    def files(name, *splits):
        return [(tmp_path / name / f"{split}.parquet").read_bytes() for split in splits or SPLITS]

    assert files("one") == files("two") == files("turned")
    assert files("one", "validation", "test", "source") == files("larger", "validation", "test", "source")
    assert files("one", "test") != files("seed", "test")
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


def test_the_order_of_labels_can_be_given(made, target, source):
    _, texts, metrics = made(target, source, data={"labels": ["yes", "no"]})
    assert metrics["labels"] == texts["source"].names == texts["test"].names == ["yes", "no"]
    assert [int(id_[-1]) % 2 for id_ in texts["train"].ids] == texts["train"].labels.tolist()


def test_an_old_folder_is_replaced_whole(made, tmp_path, target):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old.parquet").write_bytes(b"")
    made(target)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_an_old_folder_survives_an_error(made, refusal, tmp_path, target):
    made(target)
    before = (tmp_path / "out" / "test.parquet").read_bytes()
    assert refusal({**target, "per_class": 500}) == (
        "data.target.per_class: got 500; the smallest class 'no' has 35 rows left after validation and test"
    )
    assert (tmp_path / "out" / "test.parquet").read_bytes() == before


@pytest.mark.parametrize("domains", [["target"], "auto"])
def test_the_teacher_on_target_alone_leaves_the_source_its_classes(made, target, tmp_path, domains):
    source = {"path": csv(tmp_path / "s.csv", text=numbered(9, "other"), label=["c", "a", "b"] * 3)}
    summary, texts, metrics = made(target, source, teacher={"domains": domains})
    said = "; the source has other classes than the target, so the teacher trains on the target alone"
    assert summary.endswith(said) == (domains == "auto")
    assert texts["source"].names == ["a", "b", "c"]
    assert texts["train"].names == metrics["labels"] == ["no", "yes"]


def test_source_classes_must_be_the_targets(refusal, target, tmp_path):
    source = csv(tmp_path / "s.csv", text=numbered(9, "other"), label=["no", "yes", "yess"] * 3)
    assert refusal(target, {"path": source}) == (
        f"{source}, column 'label', row 3: label 'yess' is not a class of the target; accepted: no, yes; nearest: yes "
        "(see data.source.labels, or teacher.domains: [target] to leave the source's labels out)"
    )


def test_an_unknown_label(refusal, tmp_path, target):
    path = csv(tmp_path / "t.csv", text=numbered(4), label=["no", "yes", "yes.", "no"])
    assert refusal({**target, "path": path}, data={"labels": ["no", "yes"]}) == (
        f"{path}, column 'label', row 3: label 'yes.' is not a class of the target; accepted: no, yes; nearest: yes "
        "(see data.labels)"
    )


def test_one_class_only(refusal, tmp_path, target):
    path = csv(tmp_path / "t.csv", text=numbered(40), label=["no"] * 40)
    assert refusal({**target, "path": path}) == (
        f"{path}, column 'label': every row is no; accepted: two classes or more"
    )


def test_regression_of_words_of_a_constant_or_with_classes(refusal, tmp_path):
    path = csv(tmp_path / "t.csv", text=numbered(40), label=[0.5] * 40)
    target = {"path": path, "rows": 4, "validation": 4, "test": 4}
    text = csv(tmp_path / "text.csv", text=numbered(40), label=[0.5] * 39 + ["high"])
    assert refusal({**target, "path": text}, task="regression") == (
        f"{text}, column 'label', row 40: got 'high'; accepted: a finite number (task: regression)"
    )
    assert "every row has 0.5; accepted: numbers that differ" in refusal(target, task="regression")
    assert refusal(target, task="regression", data={"labels": ["a"]}).startswith("data.labels: regression has no")


def test_a_text_with_several_labels_has_that_of_most_rows(made, tmp_path):
    """Of a text without a majority no row is used."""
    texts = [*numbered(20), *numbered(3), "one", "One!", "one"]
    labels = ["no", "yes"] * 10 + ["no", "no", "no"] + ["yes", "no", "yes"]
    path = csv(tmp_path / "t.csv", text=texts, label=labels)
    words, found, metrics = made({"path": path, "per_class": 6, "validation": 2, "test": 4})
    assert metrics["dropped"]["target"] == {"empty": 0, "leaked": 0, "conflicting": 1, "tied": 2, "duplicate": 3}
    assert "(0 leaked, 3 duplicate, 1 conflicting, 2 tied, 0 empty dropped)" in words
    used = [text for split in ("train", "validation", "test") for text in found[split].texts]
    assert not {"text number 1", "One!"} & set(used)
    later = csv(
        tmp_path / "l.csv", text=[*numbered(20), *["vote"] * 3], label=["no", "yes"] * 10 + ["no", "yes", "yes"]
    )
    _, found, _ = made({"path": later, "per_class": 6, "validation": 2, "test": 6}, name="later")
    votes = {text: texts.label(row) for texts in found.values() for row, text in enumerate(texts.texts)}
    assert votes.get("vote", "yes") == "yes"


def test_numbers_of_several_raters_are_averaged(made, tmp_path):
    texts = [*numbered(20), "rated", "Rated!", "rated", "same", "same"]
    path = csv(tmp_path / "t.csv", text=texts, label=[*range(20), 1, 2, 6, 5, 5])
    words, found, metrics = made({"path": path, "rows": 12, "validation": 4, "test": 6}, task="regression")
    assert metrics["dropped"]["target"] == {"empty": 0, "leaked": 0, "conflicting": 0, "averaged": 2, "duplicate": 1}
    assert "2 averaged" in words
    rated = [texts.label(row) for texts in found.values() for row, text in enumerate(texts.texts) if text == "rated"]
    assert rated == [3.0]


def test_a_few_second_texts_are_no_leak(made, tmp_path):
    aspects = ["food", "service", "price"]
    columns = {"text": "review", "text_pair": "aspect"}

    def rows(name, word, count):
        aspect = [aspects[row % 3] for row in range(count)]
        return csv(tmp_path / name, review=numbered(count, word), aspect=aspect, label=["no", "yes"] * (count // 2))

    target, source = rows("t.csv", "eaten at place", 60), rows("s.csv", "drunk at place", 400)
    sizes = {"rows": 20, "validation": 10, "test": 20}
    _, found, metrics = made({"path": target, "columns": columns, **sizes}, {"path": source, "columns": columns})
    assert (len(found["source"]), metrics["dropped"]["source"]["leaked"]) == (400, 0)


def test_a_mirrored_pair_is_the_same_pair_where_labels_show_it(made, tmp_path):
    columns = {"text": "a", "text_pair": "b"}
    one, other = numbered(30, "left"), numbered(30, "right")
    label = ["no", "yes"] * 15
    alike = csv(tmp_path / "t.csv", a=one + other, b=other + one, label=label * 2)
    sizes = {"rows": 10, "validation": 6, "test": 14}
    words, found, metrics = made({"path": alike, "columns": columns, **sizes})
    assert metrics["dropped"]["target"] == {
        "empty": 0, "leaked": 0, "conflicting": 0, "duplicate": 0, "mirrored": 30,
    }  # fmt: skip
    assert "30 mirrored" in words
    numbers = [text.split()[-1] for split in ("train", "validation", "test") for text in found[split].texts]
    assert len(numbers) == len(set(numbers)) == 30
    unlike = csv(tmp_path / "u.csv", a=one + other, b=other + one, label=label + label[::-1])
    _, _, metrics = made({"path": unlike, "columns": columns, **sizes}, name="unlike")
    assert "mirrored" not in metrics["dropped"]["target"]
    scored = csv(tmp_path / "n.csv", a=one + other, b=other + one, label=[row / 9 for row in range(30)] * 2)
    _, _, metrics = made({"path": scored, "columns": columns, **sizes}, name="numbers", task="regression")
    assert metrics["dropped"]["target"]["mirrored"] == 30


def test_classes_that_differ_in_letter_case(refusal, made, tmp_path):
    path = csv(tmp_path / "t.csv", text=numbered(40), label=["Yes", "no", "YES", "no"] * 10)
    target = {"path": path, "per_class": 4, "validation": 6, "test": 10}
    assert refusal(target) == (
        f"{path}, column 'label': classes 'YES' and 'Yes' are one class in two spellings; accepted: one spelling "
        "(data.target.labels: {Yes: YES}), or names that differ in more"
    )
    assert made({**target, "labels": {"YES": "Yes"}})[2]["labels"] == ["Yes", "no"]


def test_one_and_1_0_are_the_same_class(made, tmp_path):
    target = csv(tmp_path / "t.csv", text=numbered(40), label=["0", "1"] * 20)
    source = csv(tmp_path / "s.csv", text=numbered(20, "other"), label=["0.0", "1.0"] * 10)
    _, found, metrics = made({"path": target, "per_class": 4, "validation": 6, "test": 10}, {"path": source})
    assert metrics["splits"]["source"]["labels"] == {"0": 10, "1": 10}
    assert found["source"].names == ["0", "1"]


def test_rows_whose_label_means_none_are_left_out_and_counted(made, tmp_path):
    path = csv(tmp_path / "t.csv", text=numbered(44), label=["0", "1"] * 20 + ["-", "-1", "?", ""])
    labels = {"-": "", "-1": "", "?": "", "": ""}
    _, _, metrics = made({"path": path, "labels": labels, "per_class": 4, "validation": 6, "test": 10})
    assert metrics["labels"] == ["0", "1"]
    assert metrics["dropped"]["target"]["unlabelled"] == 4


def test_single_texts_and_pairs_do_not_mix(refusal, target, source):
    pairs = {**source, "columns": {"text": "text", "text_pair": "text"}}
    assert refusal(target, pairs) == (
        "data.source.columns.text_pair: the source has pairs and the target single texts; "
        "accepted: a second text in both or in neither"
    )


def test_no_row_of_the_source_is_left(refusal, tmp_path, target):
    source = csv(tmp_path / "s.csv", text=numbered(100), label=["no", "yes"] * 50)
    sizes = {**target, "per_class": 1, "validation": 40, "test": 58}
    made_of = csv(tmp_path / "short.csv", text=["  ", " "], label=["no", "yes"])
    assert refusal(sizes, {"path": made_of}) == (
        f"data.source.path: no row of {made_of} can be used (2 empty, 0 leaked, 0 duplicate)"
    )
    assert refusal(sizes, {"path": source, "rows": 3}) == (
        "data.source.rows: got 3; 2 of 100 rows can be used (0 empty, 98 leaked, 0 duplicate)"
    )


def test_a_missing_file_names_its_parameter(refusal, target, tmp_path):
    assert refusal(target, {"path": str(tmp_path / "sauce.csv")}).startswith("data.source.path: no such file")
    assert refusal({**target, "path": str(tmp_path / "x.csv")}).startswith("data.target.path: no such file")


def test_ids_are_made_where_they_are_read():
    ids, expected = RowIds("target", np.array([3, 17, 1_234_567])), ["target-000003", "target-000017", "target-1234567"]
    assert (len(ids), list(ids), ids[1], ids[-1], ids[1:], ids[::-1]) == (
        3, expected, expected[1], expected[-1], expected[1:], expected[::-1]
    )  # fmt: skip
