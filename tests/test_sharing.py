"""Folders to give away: what the hub's own library reads of them."""

import json

import datasets
import pytest
from huggingface_hub import ModelCard

from pipeline.artifacts.augmented import read_augmented
from pipeline.errors import InputError
from pipeline.serving.runtime import open_folder
from pipeline.sharing import share


@pytest.fixture
def places(tmp_path, augmented, tiny_classifier):
    evaluation = tmp_path / "evaluation.json"
    evaluation.write_text(json.dumps({"student": {"accuracy": 0.75, "f1": 0.5, "accuracy_low": 0.7}}))
    outs = {"model_out": tmp_path / "share/student", "data_out": tmp_path / "share/augmented"}
    return {"student": tiny_classifier, "augmented": augmented, "evaluation": evaluation} | outs


def test_both_open_and_say_what_they_are(places, sampled_params, tmp_path, monkeypatch):
    share(sampled_params, **places)
    card = ModelCard.load(places["model_out"] / "README.md")
    assert {each.metric_type: each.metric_value for each in card.data.eval_results} == {"accuracy": 0.75, "f1": 0.5}
    assert open_folder(places["model_out"], "student").names == ["negative", "positive"]
    opened = datasets.load_dataset(str(places["data_out"]), cache_dir=str(tmp_path / "hub"))
    table = read_augmented(places["augmented"]).to_pandas()
    assert {name: len(rows) for name, rows in opened.items()} == table.groupby("domain").size().to_dict()
    assert set(opened["target"]["id"]) == set(table[table["domain"] == "target"]["id"])


def test_again_is_the_same(places, sampled_params):
    for _ in range(2):
        share(sampled_params, **places)
    assert {file.name for file in places["student"].iterdir()} | {"README.md"} == {
        file.name for file in places["model_out"].iterdir()
    }


def test_figures_of_another_task_are_named(places, sampled_params):
    places["evaluation"].write_text('{"student": {"pearson": 0.5}}')
    with pytest.raises(InputError, match=r"evaluation\.json: damaged, or of another task"):
        share(sampled_params, **places)
    assert not places["model_out"].exists()
