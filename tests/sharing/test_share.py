"""Shared folders, as the hub's own library reads them."""

import json
import shutil
import subprocess
import sys

import datasets
import pytest
from huggingface_hub import ModelCard
from transformers import AutoConfig

from pipeline.augment.shards import read_augmented
from pipeline.errors import InputError
from pipeline.serving.runtime import open_folder
from pipeline.sharing.share import _config, share
from pipeline.storage.atomic import check_output


@pytest.fixture
def paths(tmp_path, augmented, tiny_classifier):
    evaluation = tmp_path / "evaluation.json"
    evaluation.write_text(json.dumps({"student": {"accuracy": 0.75, "f1": 0.5, "mcc": 0.4, "accuracy_low": 0.7}}))
    for name in ("onnx", "int8"):
        shutil.copytree(tiny_classifier, tmp_path / name, ignore=shutil.ignore_patterns("*.safetensors"))
        (tmp_path / name / "model.onnx").write_bytes(name.encode())
    outs = {f"{name}_out": tmp_path / f"share/{name}" for name in ("model", "onnx", "data")}
    given = {"student": tiny_classifier, "onnx": tmp_path / "onnx", "int8": tmp_path / "int8", "augmented": augmented}
    return given | {"evaluation": evaluation} | outs


def test_both_folders_can_be_loaded_and_have_metadata(paths, sampled_params, tmp_path, monkeypatch):
    share(sampled_params, **paths)
    card = ModelCard.load(paths["model_out"] / "README.md")
    assert {each.metric_type: each.metric_value for each in card.data.eval_results} == {
        "accuracy": 0.75,
        "f1": 0.5,
        "matthews_correlation": 0.4,
    }
    assert open_folder(paths["model_out"], "student").names == ["negative", "positive"]
    opened = datasets.load_dataset(str(paths["data_out"]), cache_dir=str(tmp_path / "hub"))
    table = read_augmented(paths["augmented"]).to_pandas()
    assert {name: len(rows) for name, rows in opened.items()} == table.groupby("domain").size().to_dict()
    assert set(opened["target"]["id"]) == set(table[table["domain"] == "target"]["id"])


def test_sharing_twice_gives_the_same_files(paths, sampled_params):
    for _ in range(2):
        share(sampled_params, **paths)
    assert {file.name for file in paths["student"].iterdir()} | {"README.md"} == {
        file.name for file in paths["model_out"].iterdir()
    }


def test_onnx_files_are_where_transformers_js_looks(paths, sampled_params):
    share(sampled_params, **paths)
    files = {file.relative_to(paths["onnx_out"]).as_posix(): file for file in paths["onnx_out"].rglob("*.*")}
    assert {"README.md", "config.json", "tokenizer.json", "tokenizer_config.json"} <= files.keys()
    assert files["onnx/model.onnx"].read_bytes() == b"onnx"
    assert files["onnx/model_quantized.onnx"].read_bytes() == b"int8"
    assert not any(name.endswith(".safetensors") or name == "model.onnx" for name in files)
    assert ModelCard.load(files["README.md"]).data.library_name == "transformers.js"


@pytest.mark.parametrize(
    "change", [{"text_pairs": True}, {"id2label": {"0": "LABEL_0"}}, {"model_type": "l2a_bilstm"}], ids=str
)
def test_the_card_names_transformers_js_only_where_its_answers_are_right(paths, sampled_params, change):
    config = json.loads((paths["onnx"] / "config.json").read_text())
    (paths["onnx"] / "config.json").unlink()
    (paths["onnx"] / "config.json").write_text(json.dumps(config | change))
    share(sampled_params, **paths)
    assert ModelCard.load(paths["onnx_out"] / "README.md").data.library_name == "onnx"


def test_an_int8_model_that_was_left_out_is_not_shared(paths, sampled_params):
    (paths["int8"] / "model.onnx").unlink()
    share(sampled_params, **paths)
    assert [file.name for file in (paths["onnx_out"] / "onnx").iterdir()] == ["model.onnx"]
    (paths["onnx"] / "model.onnx").unlink()
    with pytest.raises(InputError, match=r"onnx: no ONNX file in it; run the export stage first$"):
        share(sampled_params, **paths)


def test_an_earlier_folder_may_be_replaced_but_not_one_with_other_files(paths, sampled_params):
    share(sampled_params, **paths)
    check_output(paths["onnx_out"], "--onnx-out", folder=True)
    (paths["onnx_out"] / "onnx" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds onnx/mine\.txt, which no stage has written"):
        check_output(paths["onnx_out"], "--onnx-out", folder=True)


def test_scores_of_another_task_are_an_error(paths, sampled_params):
    paths["evaluation"].write_text('{"student": {"r2": 0.5}}')
    with pytest.raises(InputError, match=r"evaluation\.json: damaged, or of another task"):
        share(sampled_params, **paths)
    assert not paths["model_out"].exists()


@pytest.mark.parametrize(
    ("config", "classes"),
    [
        ('{"id2label": {"0": "LABEL_0"}}', []),
        ('{"id2label": {"1": "b", "0": "a"}}', ["a", "b"]),
        ("{}", ["LABEL_0", "LABEL_1"]),
    ],
)
def test_classes_are_those_of_the_config(tmp_path, config, classes):
    (tmp_path / "config.json").write_text(config)
    assert _config(tmp_path / "config.json")[1] == classes
    names = AutoConfig.for_model("bert", **json.loads(config)).id2label
    assert classes == ([names[i] for i in range(len(names))] if len(names) > 1 else [])


@pytest.mark.parametrize("config", ["{", "[]", '{"id2label": {"a": "b"}}', '{"id2label": 2}'])
def test_a_damaged_config_is_named(paths, sampled_params, tmp_path, config):
    student = tmp_path / "student"
    shutil.copytree(paths["student"], student)
    (student / "config.json").write_text(config)
    with pytest.raises(InputError, match=r"student/config\.json: damaged, or not of a classifier"):
        share(sampled_params, **paths | {"student": student})


def test_neither_sharing_nor_the_report_imports_torch():
    code = "import sys, pipeline.sharing.share, pipeline.report.report\n"
    code += "print({'torch', 'transformers'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
