"""The whole page: its contents, and that no text from the data becomes markup."""

import json
import re
from html.parser import HTMLParser
from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from helpers.finished_run import HOSTILE, serving, write_run

from pipeline.errors import InputError
from pipeline.report.markup import visible

EMPTY = {"meta", "path", "rect", "circle", "br"}
MISSING = {
    "metrics/data.json": "prepare",
    "data/prepared/test.parquet": "prepare",
    "metrics/evaluation.json": "evaluate",
    "plots/predictions.csv": "evaluate",
    "dvclive/plots": "distill",
}


class Page(HTMLParser):
    """Elements with their attributes, and all text; checks that every element is closed in order."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.open, self.texts = [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in {"meta"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def text(self):
        return " ".join(" ".join(self.texts).split())


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_no_text_becomes_markup(tmp_path, write_page, task):
    tame, hostile = (write_run(tmp_path / name, task=task, word=word) for name, word in (("a", "fine"), ("b", HOSTILE)))
    for folder in (tame, hostile):
        serving(folder, "accuracy" if task == "classification" else "r2")
    expected, page = Page(write_page(tame)), Page(write_page(hostile))
    kinds = [[tag for tag, _ in each.elements if tag not in ("ins", "del")] for each in (expected, page)]
    assert kinds[0] == kinds[1]
    assert not {"script", "img", "iframe", "link", "object"} & set(kinds[1])
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    # The text as it was written, except for the control character.
    assert page.text().count(" ".join(visible(f"text 1 is {HOSTILE}").split())) >= 1
    assert "\x07" not in (hostile / "report.html").read_text()


def test_nothing_is_fetched_and_nothing_runs(run, write_page):
    page = Page(write_page(run))
    policy = [attributes["content"] for tag, attributes in page.elements if "http-equiv" in attributes]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"]
    links = [
        value
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in ("href", "src", "action")
    ]
    assert all(link.startswith("#") for link in links)
    assert "url(" not in "".join(page.texts)
    assert "@import" not in "".join(page.texts)


def test_headings_are_in_order_and_links_have_targets(run, write_page):
    page = Page(write_page(run))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {attributes["href"][1:] for tag, attributes in page.elements if tag == "a"} == set(ids)
    assert page.elements[0] == ("html", {"lang": "en"})
    assert all(each.get("aria-label") for tag, each in page.elements if tag == "svg" or each.get("role"))


def test_a_student_that_validates_worse_than_student_ft_is_announced(run, write_page):
    assert "validates worse" not in Page(write_page(run)).text()
    file = run / "metrics/evaluation.json"
    metrics = json.loads(file.read_text())
    for numbers in metrics.values():
        numbers["validation_mcc"] = numbers.pop("validation_accuracy")
    metrics["student"]["worse_than_student_ft"] = True
    file.write_text(json.dumps(metrics))
    text = Page(write_page(run)).text()
    assert "The student validates worse than Student-FT : MCC 0.800 on the validation texts, and 0.600" in text
    assert "with a source teacher.domains: auto or [target]" in text
    assert "MCC of the student" in text


def test_of_numbers_errors_stand_beside_always_predicting_the_mean(tmp_path, write_page):
    page = Page(write_page(write_run(tmp_path / "numbers", task="regression")))
    text = page.text()
    assert "the student is off by 0.8 on average" in text
    assert "always predicting 0.5, the mean of the training labels, is off by 0.25" in text
    assert (
        "model R² interval Pearson's r interval Spearman's ρ interval MAE interval RMSE interval validation R²" in text
    )
    assert f"always the mean {chr(0x2212)}0.010 – – – – – 0.25 – 0.3 – –" in text


def test_the_same_inputs_give_the_same_bytes(run, write_page):
    assert write_page(run) == write_page(run)


def test_contents(run, write_page):
    text = Page(write_page(run)).text()
    assert "Of 12 test texts the student classifies 10 correctly , the teacher 11, and Student-FT 10" in text
    assert "always predicting “bad fine” would be correct for 6" in text
    assert "Student wrong, teacher correct: 2 texts" in text
    assert "Student correct, teacher wrong: 1 text " in text
    assert "metrics/serving.json" in text
    assert "initial_keep: 0.9" in text


@pytest.mark.parametrize(
    ("student", "expected"),
    [
        ({"layers": 2}, "2 layers; initialised from: teacher"),
        ({"init": "encoder", "model": "roberta", "layers": 2}, "2 layers of roberta; initialised from: encoder"),
        ({"init": "pretrained", "model": "roberta"}, "roberta; initialised from: pretrained"),
    ],
)
def test_the_student(run, write_page, student, expected):
    params = yaml.safe_load((run / "params.yaml").read_text())
    (run / "params.yaml").write_text(yaml.safe_dump(params | {"student": student}))
    assert f"Student {expected}" in Page(write_page(run)).text()


def test_with_the_metrics_of_export(run, write_page):
    serving(run)
    text = Page(write_page(run)).text()
    assert "ONNX, int8 2.0 0.800 0.987 0.0123" in text
    assert "there is no" not in text.lower()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("none", "every text is kept"), ("random", "kept at random"), ("reinforced", "Dropped in the last epoch")],
)
def test_each_kind_of_selector(tmp_path, write_page, kind, expected):
    text = Page(write_page(write_run(tmp_path / "run", kind=kind))).text()
    assert expected in text
    assert ("Dropped in the last epoch" in text) == (kind == "reinforced")


def test_examples_of_kept_and_dropped_neighbours(run, write_page):
    kept, dropped = re.search(
        "Kept in the last epoch, the highest π first (.*) Dropped in the last epoch, the lowest π first (.*) Confusion",
        Page(write_page(run)).text(),
    ).groups()
    assert re.findall("target-000000-...", kept)[0] == "target-000000-019"
    assert re.findall("target-000000-...", dropped) == ["target-000000-000"]


def test_if_none_was_dropped_the_page_states_it(run, write_page):
    file = run / "data/selection.parquet"
    table = pq.read_table(file)
    kept = pa.array([True] * len(table))
    pq.write_table(table.set_column(table.schema.get_field_index("kept"), "kept", kept), file)
    assert "the lowest π first No neighbour was dropped. Confusion matrices" in Page(write_page(run)).text()


def test_without_a_selection(run, write_page):
    (run / "data/selection.parquet").unlink()
    assert "so the selector cannot be shown; the distill stage writes this file" in Page(write_page(run)).text()


@pytest.mark.parametrize("file", MISSING)
def test_a_missing_input_is_named_with_the_stage_to_run(run, write_page, file):
    (run / file).rename(run / "elsewhere")
    with pytest.raises(InputError, match=f"{MISSING[file]}"):
        write_page(run)
    assert not (run / "report.html").exists()


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("metrics/data.json", "{", r"data\.json: damaged"),
        ("metrics/data.json", "{}", "splits: Field required"),
        ("metrics/evaluation.json", "{}", "no teacher.accuracy"),
        ("metrics/serving.json", '{"onnx": {}}', "onnx.bytes: Field required"),
        ("plots/predictions.csv", "id,actual\n", "its texts are not those of the test set"),
    ],
)
def test_a_damaged_input_is_named(run, write_page, file, content, message):
    (run / file).write_text(content)
    with pytest.raises(InputError, match=rf"{message}.*; run the \w+ stage again$"):
        write_page(run)
    assert not (run / "report.html").exists()


def test_a_prediction_that_is_not_a_class(run, write_page):
    file = run / "plots/predictions.csv"
    file.write_text(file.read_text().replace("good fine\n", "fair\n"))
    with pytest.raises(InputError, match="a prediction is not a class: 'fair'"):
        write_page(run)


def test_a_page_is_replaced_atomically(run, write_page):
    (run / "report.html").write_text("an older page")
    assert write_page(run).startswith("<!DOCTYPE html>")
    assert [file.name for file in run.iterdir() if file.name.endswith(".part")] == []
