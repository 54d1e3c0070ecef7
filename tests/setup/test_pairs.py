"""What is proposed for two texts, by what the teacher's family can."""

import pytest
from helpers.documented import ROOT
from helpers.families import save_family

from pipeline.errors import InputError
from pipeline.params.edit import Value
from pipeline.setup.column import Column
from pipeline.setup.models import EMBEDDED, MPNET, model_values
from pipeline.setup.pairs import pair_values


@pytest.fixture(autouse=True)
def _in_the_project(monkeypatch):
    monkeypatch.chdir(ROOT)


TWO = [Column("premise", ["x"]), Column("hypothesis", ["y"])]


def proposed(address, texts=TWO):
    said = []
    _, _, values = model_values(address, said.append)
    found = pair_values(texts, address, values, said.append)
    return {name: value.yaml for name, value in found.items()}, said


def test_a_student_of_the_teacher_s_layers_learns_its_vectors():
    found, said = proposed(EMBEDDED)
    assert found == {
        "pairs": "each",
        "student.layers": "4",
        "student.pick": "ends",
        "teacher.learning_rate": "5.0e-5",
        "objectives.attention": "0.0",
        "objectives.hidden": "0.0",
        "objectives.vectors": "4.0",
        "cache": "{logits: true, hidden: true, attention: false}",
    }
    assert not any("cross" in line for line in said)


def test_one_of_other_layers_learns_predictions():
    found, _ = proposed(MPNET)
    layers = {"student.layers": "4", "student.pick": "ends"}
    assert found == {"pairs": "each", "distill.learning_rate": "1.0e-4", **layers}


def test_no_more_layers_than_there_are(tiny_encoder):
    found, _ = proposed(str(tiny_encoder))
    assert (found["student.layers"], found["student.pick"]) == ("3", "ends")


def test_a_family_that_cannot_reads_both_as_one(tokenizer, tmp_path):
    save_family("mra", tokenizer, tmp_path)
    found, said = proposed(str(tmp_path))
    assert found == {"pairs": "cross"}
    assert said[-1].endswith("roberta or mpnet; taken: pairs: cross")


@pytest.mark.parametrize("names", [("left_title", "right_title"), ("query", "product_title"), ("document", "summary")])
def test_titles_may_be_compared_like_other_texts(names):
    assert proposed(EMBEDDED, [Column(name, ["x"]) for name in names])[0]["pairs"] == "each"


@pytest.mark.parametrize("title", ["Subject", "review_title", "headline"])
def test_a_title_and_a_text_are_read_as_one(title):
    found, said = proposed(EMBEDDED, [Column(title, ["x"]), Column("body", ["y"])])
    assert found == {"pairs": "cross"}
    assert said[-1] == f"pairs: cross, because '{title}' and 'body' look like parts of one message"


@pytest.mark.parametrize("address", [EMBEDDED, MPNET])
def test_what_pairs_change_is_proposed_for_single_texts_too(address):
    """Otherwise a params file proposed for pairs, and then for single texts, would keep what suits pairs."""
    _, _, values = model_values(address, lambda _: None)
    assert proposed(address)[0].keys() - values.keys() == {"pairs"}
    assert (values["student.pick"].yaml, values["objectives.vectors"].yaml) == ("first", "0.0")
    assert values["distill.learning_rate"].yaml == "2.0e-4"


@pytest.mark.parametrize("family", ["perceiver", "xmod"])
def test_a_family_that_cannot_be_run_is_refused_by_name(family, tokenizer, tmp_path):
    save_family(family, tokenizer, tmp_path)
    said = []
    with pytest.raises(InputError, match=rf"^--model: {family} models cannot be run here .*; accepted: another"):
        model_values(str(tmp_path), said.append)
    assert not said


def test_values_that_are_given_stay(tiny_encoder):
    _, _, values = model_values(str(tiny_encoder), lambda _: None)
    found = pair_values(TWO, str(tiny_encoder), values | {"teacher.learning_rate": Value("2.0e-5")}, lambda _: None)
    assert "teacher.learning_rate" not in found
