"""The report stage's command line."""

import shutil
import subprocess
import sys

import pandas as pd
import pytest
from helpers.finished_run import write_run
from typer.testing import CliRunner

from pipeline.augment.shards import read_augmented
from stages.report import app


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(write_run(tmp_path / "run"))
    return tmp_path / "run"


def report(*options):
    return CliRunner().invoke(app, [str(option) for option in options])


def test_a_page(run):
    for _ in range(2):
        result = report()
        assert result.exit_code == 0, result.output
        assert result.output.startswith("report: ")
        assert " kB, in report.html, " in result.output
        assert result.output.count("\n") == 1
    assert 10_000 < (run / "report.html").stat().st_size < 300_000
    table = pd.read_csv(run / "plots/neighbours.csv")
    chosen = (
        read_augmented(run / "data/augmented")
        .to_pandas()
        .merge(pd.read_parquet(run / "data/selection.parquet"), on="id")
    )
    by_distance = chosen.groupby("distance")["kept"]
    assert table["drawn"].tolist() == by_distance.size().tolist()
    assert table["share_kept"].tolist() == by_distance.mean().round(4).tolist()


def test_the_last_round_is_reported(run):
    (run / "params.yaml").write_text((run / "params.yaml").read_text() + "rounds: 2\n")
    (run / "rounds").mkdir()
    (run / "rounds/2").mkdir()
    for old, new in (
        ("dvclive", "curves"),
        ("data/augmented", "augmented"),
        ("data/selection.parquet", "selection.parquet"),
    ):
        shutil.move(run / old, run / "rounds/2" / new)
    assert report().exit_code == 0
    assert "curves of the last round, 2" in (run / "report.html").read_text()


def test_a_missing_input_is_one_line(run):
    (run / "metrics/evaluation.json").unlink()
    result = report("--out", "page.html")
    assert result.exit_code == 1
    assert result.stderr == "report: metrics/evaluation.json: no such file; run the evaluate stage first\n"
    assert not (run / "page.html").exists()


@pytest.mark.parametrize(("place", "found"), [("data", "is a folder"), ("notes.txt", "no stage has written it")])
def test_files_that_are_no_page_are_not_replaced(run, place, found):
    (run / "notes.txt").write_text("mine")
    result = report("--out", place)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"report: --out: {place} ")
    assert found in result.stderr
    assert (run / "notes.txt").read_text() == "mine"


def test_help_is_quick():
    code = """
import sys
from typer.testing import CliRunner
from stages.report import app
assert CliRunner().invoke(app, ["--help"]).exit_code == 0
assert not {"torch", "pandas", "pyarrow", "jinja2"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
