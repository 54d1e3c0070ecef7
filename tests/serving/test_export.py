"""The export stage's work: folders that answer like the student, and refusal of those that do not."""

import json
from dataclasses import replace

import numpy as np
import pytest

from pipeline.data.texts import read_texts
from pipeline.errors import InputError
from pipeline.serving import export as exporting
from pipeline.serving.export import export
from pipeline.serving.runtime import open_folder


@pytest.fixture
def places(tmp_path, uneven, augmented, tiny_classifier, monkeypatch):
    monkeypatch.setattr("pipeline.serving.timing.ROUNDS", 10)
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
def test_folders_answer_like_the_student(places, make_params, vocabulary):
    said = export(make_params(export={"max_drop": 0.1, "vocabulary": vocabulary}), **places)
    measured = json.loads(places["metrics"].read_text())
    assert list(measured) == ["teacher", "student", "onnx", "int8", *(["vocabulary"] if vocabulary == "seen" else [])]
    assert "onnx" in said
    test = read_texts(places["prepared"] / "test.parquet")
    student = open_folder(places["student"], "student")
    wanted = replace(student, max_length=16).outputs(test.texts, test.pairs)
    for name, folder in places["outs"].items():
        served = open_folder(folder, name)
        assert (served.names, served.max_length, served.pairs) == (test.names, 16, False)
        given = served.outputs(test.texts, test.pairs)
        assert measured[name]["largest_difference"] == pytest.approx(np.abs(given - wanted).max(), rel=0.1)
        assert measured[name]["agreement"] == pytest.approx((given.argmax(1) == wanted.argmax(1)).mean(), abs=1e-4)
        right = (given.argmax(1) == test.labels).mean()
        assert measured[name]["accuracy"] == pytest.approx(right, abs=1e-4)
        assert measured[name]["bytes"] == (folder / "model.onnx").stat().st_size
        assert set(measured[name]["tokens_64"]) == {"median_ms", "p95_ms", "texts_per_second"}
    assert 0 < measured["onnx"]["largest_difference"] < 1e-4
    assert "tokens_128" not in measured["student"]
    if vocabulary == "seen":
        pieces = measured["vocabulary"]
        assert pieces["pieces"] < pieces["of"] == len(student.tokenizer)
        assert pieces["test_texts_split_otherwise"] == 0


def test_one_that_loses_too_much_is_not_published(places, make_params, monkeypatch):
    right = iter([0.9, 0.8, 0.8, 0.75])
    monkeypatch.setattr(exporting, "_score", lambda outputs, test: {"accuracy": next(right)})
    with pytest.raises(InputError, match=r"export\.max_drop: as int8 the student's accuracy falls from 0\.8 to 0\.75"):
        export(make_params(export={"max_drop": 0.04}), **places)
    assert not places["metrics"].exists()
    assert not any(folder.exists() for folder in places["outs"].values())


def test_a_single_text_is_no_harm(places, make_params, monkeypatch):
    one = 1 / len(read_texts(places["prepared"] / "test.parquet"))
    right = iter([0.9, 0.8, 0.8, 0.8 - one])
    monkeypatch.setattr(exporting, "_score", lambda outputs, test: {"accuracy": next(right)})
    export(make_params(export={"max_drop": 0.0}), **places)
    assert all(folder.is_dir() for folder in places["outs"].values())


def test_a_flipped_bit_is_found_before_it_answers(places, make_params):
    export(make_params(export={"max_drop": 0.1}), **places)
    file = places["outs"]["int8"] / "model.onnx"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"^x: .*int8/model\.onnx is not what was written"):
        open_folder(file.parent, "x")
