"""The command lines of export, and of predict with its output."""

import csv
import json
import os
import shutil
import subprocess
import sys

import pytest
import yaml
from typer.testing import CliRunner

from stages.export import app as export
from stages.predict import app as predict


@pytest.fixture(scope="module")
def exported(prepared, tiny_classifier, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    params = {"data": {"target": {"path": "target.csv", "rows": 8}}, "max_length": 16, "export": {"max_drop": 0.5}}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    given = ["--params", folder / "params.yaml", "--prepared", prepared, "--metrics", folder / "serving.json"]
    given += ["--onnx", folder / "onnx", "--int8", folder / "int8"]
    given += [word for name in ("--teacher", "--student") for word in (name, tiny_classifier)]
    result = CliRunner().invoke(export, [str(part) for part in given])
    assert result.exit_code == 0, result.output
    assert result.output.startswith("export: teacher 0.")
    return folder


def rows(output):
    return [json.loads(line) for line in output.splitlines()]


@pytest.mark.parametrize("kind", ["onnx", "int8"])
def test_texts_are_answered(exported, kind):
    done = CliRunner().invoke(predict, ["a good film", "so dull", "--model", str(exported / kind)])
    assert [row["text"] for row in rows(done.stdout)] == ["a good film", "so dull"]
    assert {row["predicted"] for row in rows(done.stdout)} <= {"negative", "positive"}
    assert done.stderr.startswith("predict: 2 answers, ")


def test_a_file_and_standard_input_give_the_same(exported, tiny_classifier, tmp_path):
    texts = ["a good film", "", "so dull <b>", "çà et là"]
    (tmp_path / "texts.txt").write_text("\n".join(texts) + "\n")
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    place = ["--model", str(tiny_classifier)]
    lines = CliRunner().invoke(predict, ["--file", str(tmp_path / "texts.txt"), *place]).stdout
    assert [row["text"] for row in rows(lines)] == texts
    assert CliRunner().invoke(predict, ["--file", str(tmp_path / "texts.jsonl"), *place]).stdout == lines
    assert CliRunner().invoke(predict, place, input="\n".join(texts)).stdout == lines
    given = (tmp_path / "texts.jsonl").read_text()
    assert CliRunner().invoke(predict, ["--jsonl", *place], input=given).stdout == lines


def test_without_a_model_int8_answers_or_onnx_where_it_was_left_out(exported, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for kind in ("onnx", "int8"):
        shutil.copytree(exported / kind, tmp_path / "models" / kind)
    given = ["a good film"]
    int8 = CliRunner().invoke(predict, given).stdout
    assert int8 == CliRunner().invoke(predict, [*given, "--model", "models/int8"]).stdout
    shutil.rmtree("models/int8")
    (tmp_path / "models/int8").mkdir()
    (tmp_path / "models/int8/left_out.json").write_text('"it loses \\"too much\\""\n')
    onnx = CliRunner().invoke(predict, given).stdout
    assert onnx == CliRunner().invoke(predict, [*given, "--model", "models/onnx"]).stdout
    refused = CliRunner().invoke(predict, [*given, "--model", "models/int8"])
    assert refused.stderr == 'predict: --model: models/int8 was left out: it loses "too much"\n'


def test_pairs_are_refused_by_a_model_of_single_texts(exported, tmp_path):
    file = tmp_path / "pairs.JSONL"
    file.write_text('{"text": "a film", "text_pair": "a plot"}\n')
    done = CliRunner().invoke(predict, ["--file", str(file), "--model", str(exported / "onnx")])
    assert (done.exit_code, done.stdout) == (1, "")
    accepted = "single texts, as the model or other rows have"
    assert done.stderr == f"predict: {file}: row 1: got a pair; accepted: {accepted}\n"


def test_a_table_gets_the_answers_of_its_texts(exported, tmp_path):
    texts = ["a good film", "so, dull", "5"]
    (tmp_path / "lines.txt").write_text("\n".join(texts))
    (tmp_path / "new.csv").write_text('id,review\n1,a good film\n2,"so, dull"\n3,5\n')
    place = ["--model", str(exported / "onnx")]
    expected = rows(CliRunner().invoke(predict, ["--file", str(tmp_path / "lines.txt"), *place]).stdout)
    given = ["--file", str(tmp_path / "new.csv"), "--text", "review", *place]
    printed = rows(CliRunner().invoke(predict, given).stdout)
    assert [row.pop("id") for row in printed] == ["1", "2", "3"]
    assert [row | {"text": row.pop("review")} for row in printed] == expected
    done = CliRunner().invoke(predict, [*given, "--answers", str(tmp_path / "answers.csv")])
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr.startswith("predict: 3 answers, ")
    with (tmp_path / "answers.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert [row["predicted"] for row in written] == [row["predicted"] for row in expected]
    assert list(written[0]) == ["id", "review", "predicted", "probability"]


def test_objects_may_name_their_texts_otherwise(exported, tmp_path):
    (tmp_path / "new.jsonl").write_text('{"review": "a good film"}\n')
    given = ["--file", str(tmp_path / "new.jsonl"), "--model", str(exported / "onnx")]
    done = CliRunner().invoke(predict, [*given, "--text", "review"])
    assert [row["review"] for row in rows(done.stdout)] == ["a good film"]
    done = CliRunner().invoke(predict, given)
    assert done.exit_code == 1
    assert 'line 1 has no text; accepted: {"text": "…"}' in done.stderr


def test_columns_and_answers_are_for_tables(exported, tmp_path):
    (tmp_path / "lines.txt").write_text("a good film\n")
    place = ["--model", str(exported / "onnx")]
    for given, said in (
        (
            ["a film", "--text", "review"],
            "predict: --text: got review, and no table; accepted: --file with one of .csv",
        ),
        (["--file", str(tmp_path / "lines.txt"), "--text-pair", "b"], "predict: --text-pair: got b, and no table"),
        (["a film", "--answers", "a.csv"], "predict: --answers: got no --file; accepted: --file with one of .csv"),
    ):
        done = CliRunner().invoke(predict, [*given, *place])
        assert (done.exit_code, done.stdout) == (1, "")
        assert done.stderr.startswith(said)


def test_lines_of_json_get_their_answers_in_a_file(exported, tmp_path):
    (tmp_path / "new.jsonl").write_text('{"text": "a good film", "n": 1}\n{"text": "so dull"}\n')
    given = ["--file", str(tmp_path / "new.jsonl"), "--model", str(exported / "onnx")]
    printed = CliRunner().invoke(predict, given).stdout
    done = CliRunner().invoke(predict, [*given, "--answers", str(tmp_path / "answers.jsonl")])
    assert (done.exit_code, done.stdout) == (0, "")
    assert (tmp_path / "answers.jsonl").read_text() == printed
    done = CliRunner().invoke(predict, ["--file", str(tmp_path / "answers.jsonl"), *given[2:]])
    assert (done.exit_code, done.stdout) == (1, "")
    assert "line 1 has 'predicted' already, which is where the answer goes; accepted: another name" in done.stderr


def test_a_reader_that_has_enough_is_no_error(tiny_classifier, tmp_path):
    (tmp_path / "texts.txt").write_text("a good film\n" * 20_000)
    command = f"{sys.executable} -m stages.predict --model {tiny_classifier} --file {tmp_path}/texts.txt | head -n 1"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    words = ["bash", "-o", "pipefail", "-c", command]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert rows(done.stdout)[0]["text"] == "a good film"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a", "--jsonl"], "predict: --jsonl: got texts too; accepted: one of the two"),
        (["a", "--file", "b"], "predict: --file: got texts too; accepted: one of the two"),
        (["--file", "absent.txt"], "predict: --file: no such file: absent.txt; accepted: a file of texts"),
        (["a", "--model", "absent"], "predict: --model: no such model folder: absent"),
    ],
)
def test_bad_input_is_one_line(words, message):
    done = CliRunner().invoke(predict, words)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.strip() == message


def test_a_damaged_file_is_one_line(exported, tmp_path):
    folder = tmp_path / "damaged"
    folder.mkdir()
    for file in (exported / "onnx").iterdir():
        (folder / file.name).write_bytes(file.read_bytes()[: 5000 if file.suffix == ".onnx" else None])
    done = CliRunner().invoke(predict, ["a film", "--model", str(folder)])
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"predict: --model: {folder}/model.onnx is not what was written; ")
    assert len(done.stderr.splitlines()) == 1
    # A folder that another program wrote has no checksums.
    (folder / "SHA256SUMS").unlink()
    done = CliRunner().invoke(predict, ["a film", "--model", str(folder)])
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"predict: --model: {folder} cannot be loaded (")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("stage", ["export", "predict"])
def test_help_does_not_import_torch(stage):
    code = f"""
import sys
from typer.testing import CliRunner
from stages.{stage} import app
assert CliRunner().invoke(app, ["--help"]).exit_code == 0
assert "torch" not in sys.modules and "onnx" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
