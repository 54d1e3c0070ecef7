"""The inspect command's command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from helpers.hand_made import neighbour, write_selection, write_shard
from typer.testing import CliRunner

from stages.inspect import app

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def project_folder(augmented, uneven, cached, tiny_classifier, tmp_path, monkeypatch):
    """A folder with artifacts under their usual names; the teacher is the student."""
    for name, folder in {"augmented": augmented, "prepared": uneven, "teacher": cached}.items():
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / name).symlink_to(folder)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "student").symlink_to(tiny_classifier)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*options):
    result = CliRunner().invoke(app, [str(option) for option in options])
    assert "Traceback" not in result.output
    return result


def test_neighbours_are_shown_with_all_artifacts_of_the_project(project_folder):
    result = run("--domain", "target", "--rows", 2)
    assert result.exit_code == 0, result.output
    assert [line.split()[0] for line in result.stdout.splitlines() if line and line[0] != " "] == [
        "train-000-001", "train-000-002",
    ]  # fmt: skip
    assert result.stdout.count("\n  teacher ") == result.stdout.count("\n  student ") == 2
    assert "\x1b" not in result.stdout
    assert result.stderr.startswith("inspect: 2 of 48 neighbours in data/augmented (not there yet: selection), ")
    assert result.stderr.count("\n") == 1


def test_standard_output_is_json_only(project_folder):
    ids = [json.loads(line)["id"] for line in run("--as", "json", "--rows", 3).stdout.splitlines()]
    drawn = [run("--as", "json", "--rows", 3, "--random", "--seed", seed).stdout for seed in (4, 4, 5)]
    assert ids == ["source-000-001", "source-002-001", "source-004-001"]
    assert drawn[0] == drawn[1] != drawn[2]
    row = json.loads(drawn[0].splitlines()[0])
    for spans, words, text in (("old_spans", "old_words", "original_text"), ("new_spans", "new_words", "text")):
        assert [row[text][span["start"] : span["end"]] for span in row[spans]] == row[words] != []
    assert row["teacher"]["class"] in ("negative", "positive")


def test_a_summary_takes_their_place(project_folder):
    counted = json.loads(run("--summary", "--as", "json", "data/augmented").stdout)
    assert counted["neighbours"] == {"source": 48, "target": 48}
    assert counted["teacher"]["neighbours"] == 48
    page = run("--summary", "--domain", "source")
    assert page.stdout.startswith("neighbours  48 source, of ")
    assert page.stderr.startswith("inspect: 48 neighbours in data/augmented, ")


def test_later_rounds_have_artifacts_beside_them(project_folder):
    shards = write_shard(project_folder / "rounds" / "2" / "augmented", [neighbour("t0-001"), neighbour("t0-002")])
    write_selection(shards.parent / "selection.parquet", {"t0-001": True, "t0-002": False})
    rows = [json.loads(line) for line in run("rounds/2/augmented", "--dropped", "--as", "json").stdout.splitlines()]
    assert [(row["id"], row["pi"], row["kept"], row["teacher"]) for row in rows] == [("t0-002", 0.25, False, None)]
    # If the round has no student yet, the first round's is used.
    assert rows[0]["student"]["class"] in ("negative", "positive")


def test_another_projects_neighbours_are_not_read_by_this_ones_student(project_folder, tmp_path_factory):
    other = write_shard(tmp_path_factory.mktemp("other") / "data" / "augmented", [neighbour()])
    result = run(other, "--as", "json")
    assert json.loads(result.stdout)["student"] is None
    assert "(not there yet: teacher cache, selection, student)" in result.stderr


def test_shards_of_an_earlier_version_are_one_line(tmp_path):
    shards = write_shard(tmp_path / "augmented", [neighbour()])
    (file,) = shards.iterdir()
    pq.write_table(pq.read_table(file).drop_columns(["old_spans", "new_spans"]), file)
    result = run(shards)
    assert result.exit_code == 1
    wanted = "accepted: a file that the augment stage of this version wrote"
    assert result.stderr == f"inspect: {file}: no column 'old_spans'; {wanted}\n"


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["nowhere"], "inspect: nowhere: no such folder"),
        (["data/prepared"], "inspect: data/prepared/source.parquet: no column 'original_id'"),
        (["--original", "x\n"], "inspect: --original: data/augmented has no neighbours of 'x\\n'; accepted: "),
        (["--distance", "40"], "inspect: data/augmented: no neighbours that match --distance 40"),
        (["--kept"], "inspect: --kept: there is no selection.parquet yet"),
        (["--cache", "nowhere"], "inspect: nowhere: no teacher cache"),
        (["--student", "nowhere"], "inspect: student: no such model folder: nowhere"),
        (
            ["--selection", "nowhere.parquet", "--kept"],
            "inspect: no such file: nowhere.parquet; run ",
        ),
        (["--disagree"], "inspect: --disagree: teacher and student disagree on none of 96 neighbours"),
        (["--disagree", "--summary"], "inspect: --disagree: got --summary too"),
        (["--domain", "both"], "inspect: Invalid value for '--domain'"),
        (["--rows", "0"], "inspect: Invalid value for '--rows'"),
    ],
)
def test_what_cannot_be_shown_is_one_line(project_folder, options, line):
    result = run(*options)
    assert result.exit_code != 0
    assert result.stdout == ""
    assert result.stderr.startswith(line)
    assert result.stderr.count("\n") == 1


def test_a_reader_that_stops_early_sees_no_error(project_folder):
    words = [sys.executable, "-m", "stages.inspect", "--as", "json", "--rows", "96", "--student", "models/student"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    error = process.stderr.read().decode()
    process.stderr.close()
    process.wait()
    assert error == "" or error.startswith("inspect: 96 of 96")


def test_help_does_not_import_what_takes_seconds():
    code = """
import sys
from typer.testing import CliRunner
from stages.inspect import app
assert CliRunner().invoke(app, ["--help"]).exit_code == 0
assert not {"torch", "pandas", "transformers", "pyarrow", "numpy"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
