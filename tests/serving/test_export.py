"""Export: folders that predict like the student, and an error for those that do not."""

import json
from dataclasses import replace

import numpy as np
import pytest

from pipeline.data.texts import read_texts
from pipeline.errors import InputError
from pipeline.serving import export as export_module
from pipeline.serving.conversion import to_onnx
from pipeline.serving.export import export
from pipeline.serving.runtime import open_folder


@pytest.fixture(scope="module")
def convert():
    """`to_onnx` for models that differ in the size of their vocabulary alone: each is converted once."""
    converted = {}

    def write(model, example, file):
        if model.config.vocab_size not in converted:
            to_onnx(model, example, file)
            converted[model.config.vocab_size] = file.read_bytes()
        file.write_bytes(converted[model.config.vocab_size])

    return write


@pytest.fixture
def paths(tmp_path, uneven, augmented, tiny_classifier, convert, monkeypatch):
    monkeypatch.setattr("pipeline.serving.timing.ROUNDS", 10)
    monkeypatch.setattr(export_module, "to_onnx", convert)
    outs = {"onnx": tmp_path / "onnx", "int8": tmp_path / "int8"}
    return {
        "prepared": uneven,
        "teacher": tiny_classifier,
        "student": tiny_classifier,
        "augmented": [augmented],
        "outs": outs,
        "metrics": tmp_path / "serving.json",
    }


@pytest.mark.parametrize("vocabulary", ["full", "seen"])
def test_folders_predict_like_the_student(paths, make_params, vocabulary):
    summary = export(make_params(export={"max_drop": 0.1, "vocabulary": vocabulary}), **paths)
    measured = json.loads(paths["metrics"].read_text())
    assert list(measured) == ["teacher", "student", "onnx", "int8", *(["vocabulary"] if vocabulary == "seen" else [])]
    assert "onnx" in summary
    test = read_texts(paths["prepared"] / "test.parquet")
    student = open_folder(paths["student"], "student")
    expected = replace(student, max_length=16).outputs(test.texts, test.pairs)
    for name, folder in paths["outs"].items():
        served = open_folder(folder, name)
        assert (served.names, served.max_length, served.pairs) == (test.names, 16, False)
        outputs = served.outputs(test.texts, test.pairs)
        assert measured[name]["largest_difference"] == pytest.approx(np.abs(outputs - expected).max(), rel=0.1)
        assert measured[name]["agreement"] == pytest.approx((outputs.argmax(1) == expected.argmax(1)).mean(), abs=1e-4)
        accuracy = (outputs.argmax(1) == test.labels).mean()
        assert measured[name]["accuracy"] == pytest.approx(accuracy, abs=1e-4)
        assert measured[name]["bytes"] == (folder / "model.onnx").stat().st_size
        assert set(measured[name]["tokens_64"]) == {"median_ms", "p95_ms", "texts_per_second"}
    assert 0 < measured["onnx"]["largest_difference"] < 1e-4
    assert measured["teacher"].keys() == {"bytes", "tokens_16", "tokens_64"}
    if vocabulary == "seen":
        pieces = measured["vocabulary"]
        assert pieces["pieces"] < pieces["of"] == len(student.tokenizer)
        assert pieces["test_texts_split_otherwise"] == 0


def test_a_float32_conversion_that_loses_too_much_is_not_published(paths, make_params, monkeypatch):
    accuracies = iter([0.8, 0.75])
    monkeypatch.setattr(export_module, "_score", lambda outputs, test, metric: {metric: next(accuracies)})
    with pytest.raises(InputError, match=r"export\.max_drop: as onnx the student's accuracy falls from 0\.8 to 0\.75"):
        export(make_params(export={"max_drop": 0.04}), **paths)
    assert not paths["metrics"].exists()
    assert not any(folder.exists() for folder in paths["outs"].values())


def test_int8_that_loses_too_much_is_left_out(paths, make_params, monkeypatch):
    accuracies = iter([0.8, 0.8, 0.75])
    monkeypatch.setattr(export_module, "_score", lambda outputs, test, metric: {metric: next(accuracies)})
    summary = export(make_params(export={"max_drop": 0.04}), **paths)
    assert "MB accuracy 0.75 (left out), in " in summary
    assert open_folder(paths["outs"]["onnx"], "x").pairs is False
    assert [file.name for file in paths["outs"]["int8"].iterdir()] == ["left_out.json"]
    reason = (
        r"export\.max_drop: as int8 the student's accuracy falls from 0\.8 to 0\.75; "
        rf"accepted: a loss of at most 0\.04; use {paths['outs']['onnx']}$"
    )
    with pytest.raises(InputError, match=rf"^--model: .*int8 was left out: {reason}"):
        open_folder(paths["outs"]["int8"], "--model")
    assert json.loads(paths["metrics"].read_text())["int8"]["accuracy"] == 0.75


def test_a_single_text_more_or_less_is_accepted(paths, make_params, monkeypatch):
    one = 1 / len(read_texts(paths["prepared"] / "test.parquet"))
    accuracies = iter([0.8, 0.8, 0.8 - one])
    monkeypatch.setattr(export_module, "_score", lambda outputs, test, metric: {metric: next(accuracies)})
    export(make_params(export={"max_drop": 0.0}), **paths)
    assert all(folder.is_dir() for folder in paths["outs"].values())


@pytest.mark.parametrize(("agreement", "accepted"), [(29 / 30, True), (28 / 30, False)])
def test_one_text_may_be_much_of_a_rare_class(paths, make_params, monkeypatch, agreement, accepted):
    """With one text of a rare class, the loss of a single text more than halves MCC."""
    measured = iter([0.8, 0.8, 0.3])
    monkeypatch.setattr(export_module, "_score", lambda outputs, test, metric: {metric: next(measured)})
    monkeypatch.setattr(export_module, "_agreement", lambda *_: {"agreement": round(agreement, 4)})
    params = make_params(export={"max_drop": 0.02}, score="mcc")
    export(params, **paths)
    assert json.loads(paths["metrics"].read_text())["int8"]["mcc"] == 0.3
    assert (paths["outs"]["int8"] / "model.onnx").is_file() == accepted


def test_a_flipped_bit_is_detected_on_loading(paths, make_params):
    export(make_params(export={"max_drop": 0.1}), **paths)
    file = paths["outs"]["int8"] / "model.onnx"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"^x: .*int8/model\.onnx is not what was written"):
        open_folder(file.parent, "x")
