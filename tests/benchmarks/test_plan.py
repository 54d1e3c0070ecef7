"""Every task and row that can be named is a whole params file, and dvc.yaml has a stage for each cell asked for."""

import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
import yaml

from benchmarks.paper.plan import merged, planned, read_asked, read_row
from benchmarks.paper.report import SETTINGS, SIZES
from pipeline.errors import InputError
from pipeline.params.schema import Params

ROOT = Path(__file__).parents[2]
HERE = ROOT / "benchmarks" / "paper"
TASKS = sorted(file.stem for file in (HERE / "tasks").glob("*.yaml"))
ROWS = sorted(file.stem for file in (HERE / "rows").glob("*.yaml"))
OF_TWELVE_LAYERS = {"bert4-pkd", "bert6-pkd", "distilbert-4"}


@pytest.mark.parametrize("task", TASKS)
def test_every_row_of_a_task_is_a_whole_params_file(task, monkeypatch):
    monkeypatch.chdir(ROOT)
    for row in ROWS:
        params = Params.model_validate(planned(task, row))
        if row in OF_TWELVE_LAYERS:
            assert params.student.layers in (4, 6)


def test_a_row_differs_from_l2a_in_what_it_says_and_in_nothing_else(monkeypatch):
    monkeypatch.chdir(ROOT)
    whole, default = planned("imdb-rt", "l2a"), yaml.safe_load((ROOT / "params.yaml").read_text())
    default["data"]["source"]["rows"] = 1500
    default["distill"] |= {"epochs": 2, "least_steps": 130}
    assert whole == default
    assert planned("imdb-rt", "no-attention") == {**whole, "objectives": {**whole["objectives"], "attention": 0.0}}
    assert planned("target-20", "l2a")["data"]["target"]["per_class"] == 20
    assert "where" not in planned("sst2-rt", "l2a")["data"]["source"]


def test_all_asked_for_exists(monkeypatch):
    monkeypatch.chdir(ROOT)
    for block in read_asked(HERE).blocks():
        for task, row in product(block.tasks, block.rows):
            planned(task, row)
            assert (read_row(row).after is None) == (row not in ("random-selector", "rounds-2"))


def test_dvc_has_a_stage_for_every_cell():
    names = subprocess.run(
        [sys.executable, "-m", "dvc", "stage", "list", "--name-only"],
        cwd=HERE,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    stages = {name.partition("@")[2] for name in names if name.startswith("row")}
    asked = {
        f"{task}-{row}-{seed}"
        for block in read_asked(HERE).blocks()
        for task, row, seed in product(block.tasks, block.rows, block.seeds)
    }
    assert stages == asked
    assert {"plan", "results", "report"} <= set(names)


def test_the_pictures_say_what_the_params_say(monkeypatch):
    monkeypatch.chdir(ROOT)
    found = {
        "alpha": lambda params: params["alpha"],
        "temperature": lambda params: params["temperature"],
        "neighbours": lambda params: params["augment"]["samples"]["target"],
    }
    for name, (_, points) in SETTINGS.items():
        for x, row in points.items():
            assert found[name](planned("imdb-rt", row)) == x
    for x, task in SIZES.items():
        assert planned(task or "imdb-rt", "l2a")["data"]["target"]["per_class"] == x


def test_what_other_machines_have_measured_is_not_removed():
    """DVC removes what a stage is to write before it runs, unless it is told to let it be."""
    stages = yaml.safe_load((HERE / "dvc.yaml").read_text())["stages"]
    assert stages["results"]["outs"] == [{"results.csv": {"cache": False, "persist": True}}]


def test_merged_by_hand():
    given = {"a": {"x": 1, "y": 2}, "b": 3}
    assert merged(given, {"a": {"y": None, "z": 4}, "c": {"d": 5}}) == {"a": {"x": 1, "z": 4}, "b": 3, "c": {"d": 5}}
    assert given == {"a": {"x": 1, "y": 2}, "b": 3}


def test_a_row_that_does_not_fit_is_named(bench):
    bench(["l2a"], extra={"odd": {"params": {"objectives": {"attention": -1.0}}}, "worse": {"parms": {}}})
    with pytest.raises(InputError, match=r"rows/odd\.yaml on benchmarks/paper/tasks/tiny\.yaml: objectives\.attention"):
        planned("tiny", "odd")
    with pytest.raises(InputError, match=r"rows/worse\.yaml: .*parms"):
        planned("tiny", "worse")
    with pytest.raises(InputError, match=r"rows/edaa\.yaml: no such file; accepted: .*eda"):
        planned("tiny", "edaa")


def test_a_bench_file_that_lacks_a_block_is_named(bench):
    here = bench(["l2a"])
    asked = yaml.safe_load((here / "params.yaml").read_text())
    (here / "params.yaml").write_text(yaml.safe_dump({name: block for name, block in asked.items() if name != "tasks"}))
    with pytest.raises(InputError, match=r"params\.yaml: .*tasks"):
        read_asked(here)
