"""The page as a whole: what it tells, and what no text in it can do."""

import re
from html.parser import HTMLParser
from itertools import pairwise

import pyarrow.parquet as pq
import pytest
from helpers.finished_run import HOSTILE, lay, serving

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
    """Elements with their attributes, and all text; every element that is opened is closed in its turn."""

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

    def said(self):
        return " ".join(" ".join(self.texts).split())


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_no_text_becomes_markup(tmp_path, write_page, task):
    tame, hostile = (lay(tmp_path / name, task=task, word=word) for name, word in (("a", "fine"), ("b", HOSTILE)))
    for folder in (tame, hostile):
        serving(folder, "accuracy" if task == "classification" else "pearson")
    as_usual, page = Page(write_page(tame)), Page(write_page(hostile))
    kinds = [[tag for tag, _ in each.elements if tag not in ("ins", "del")] for each in (as_usual, page)]
    assert kinds[0] == kinds[1]
    assert not {"script", "img", "iframe", "link", "object"} & set(kinds[1])
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    # As it was written, but for the control character.
    assert page.said().count(" ".join(visible(f"text 1 is {HOSTILE}").split())) >= 1
    assert "\x07" not in (hostile / "report.html").read_text()


def test_nothing_is_fetched_and_nothing_runs(run, write_page):
    page = Page(write_page(run))
    policy = [attributes["content"] for tag, attributes in page.elements if "http-equiv" in attributes]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"]
    links = [value for _, given in page.elements for name, value in given.items() if name in ("href", "src", "action")]
    assert all(link.startswith("#") for link in links)
    assert "url(" not in "".join(page.texts)
    assert "@import" not in "".join(page.texts)


def test_headings_in_order_and_places_that_links_lead_to(run, write_page):
    page = Page(write_page(run))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {attributes["href"][1:] for tag, attributes in page.elements if tag == "a"} == set(ids)
    assert page.elements[0] == ("html", {"lang": "en"})
    assert all(given.get("aria-label") for tag, given in page.elements if tag == "svg" or given.get("role"))


def test_the_same_inputs_give_the_same_bytes(run, write_page):
    assert write_page(run) == write_page(run)


def test_what_it_tells(run, write_page):
    said = Page(write_page(run)).said()
    assert "Of 12 test texts the student gets 10 right , the teacher 11, and Student-FT 10" in said
    assert "always answering “bad fine” would get 6" in said
    assert "The student wrong, the teacher right: 2 texts" in said
    assert "The student right, the teacher wrong: 1 text " in said
    assert "metrics/serving.json" in said
    assert "initial_keep: 0.9" in said


def test_with_what_export_measured(run, write_page):
    serving(run)
    said = Page(write_page(run)).said()
    assert "ONNX in 8 bits 2.0 0.800 0.987 0.0123" in said
    assert "there is no" not in said.lower()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("none", "every neighbour is kept"), ("random", "kept by chance"), ("reinforced", "Dropped in the last epoch")],
)
def test_each_kind_of_selector(tmp_path, write_page, kind, expected):
    said = Page(write_page(lay(tmp_path / "run", kind=kind))).said()
    assert expected in said
    assert ("Dropped in the last epoch" in said) == (kind == "reinforced")


def test_examples_of_what_was_kept_and_dropped(run, write_page):
    kept, dropped = re.search(
        "Kept in the last epoch, the highest π first (.*) Dropped in the last epoch, the lowest π first (.*) Where the",
        Page(write_page(run)).said(),
    ).groups()
    assert re.findall("target-000000-...", kept)[0] == "target-000000-019"
    assert re.findall("target-000000-...", dropped) == ["target-000000-000"]


def test_where_none_was_dropped_it_says_so(run, write_page):
    file = run / "data/selection.parquet"
    table = pq.read_table(file)
    pq.write_table(table.filter(table["kept"]), file)
    assert "the lowest π first No neighbour was dropped. Where the" in Page(write_page(run)).said()


def test_without_a_selection(run, write_page):
    (run / "data/selection.parquet").unlink()
    assert "so nothing can be told of the selector: the distill stage writes it" in Page(write_page(run)).said()


@pytest.mark.parametrize("file", MISSING)
def test_a_missing_input_is_named_with_the_stage_to_run(run, write_page, file):
    (run / file).rename(run / "elsewhere")
    with pytest.raises(InputError, match=f"{MISSING[file]}"):
        write_page(run)
    assert not (run / "report.html").exists()


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("metrics/data.json", "{", r"data\.json: damaged"),
        ("metrics/data.json", "{}", "splits: Field required"),
        ("metrics/evaluation.json", "{}", "no teacher.accuracy"),
        ("metrics/serving.json", '{"onnx": {}}', "onnx.bytes: Field required"),
        ("plots/predictions.csv", "id,actual\n", "other texts than the test set has"),
    ],
)
def test_a_damaged_input_is_named(run, write_page, file, content, said):
    (run / file).write_text(content)
    with pytest.raises(InputError, match=rf"{said}.*; run the \w+ stage again$"):
        write_page(run)
    assert not (run / "report.html").exists()


def test_an_answer_that_is_no_class(run, write_page):
    file = run / "plots/predictions.csv"
    file.write_text(file.read_text().replace("good fine\n", "fair\n"))
    with pytest.raises(InputError, match="an answer that is no class: 'fair'"):
        write_page(run)


def test_a_page_is_replaced_whole(run, write_page):
    (run / "report.html").write_text("what was there")
    assert write_page(run).startswith("<!DOCTYPE html>")
    assert [file.name for file in run.iterdir() if file.name.endswith(".part")] == []
