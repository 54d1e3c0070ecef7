"""Every task with every row is a whole params file, and dvc.yaml has a stage for each cell of the benchmark."""

import subprocess
import sys
from functools import cache
from itertools import product
from pathlib import Path

import pytest

from benchmarks.paper import plan
from benchmarks.paper.drawing import SETTINGS, SIZES
from benchmarks.paper.plan import planned, read_asked, read_row, read_task
from pipeline.errors import InputError
from pipeline.params.file import check_keys
from pipeline.params.overlay import read_params
from pipeline.params.schema import Params
from pipeline.params.yaml12 import parse, read_yaml, to_yaml

ROOT = Path(__file__).parents[2]
HERE = ROOT / "benchmarks" / "paper"
TASKS = sorted(file.stem for file in (HERE / "tasks").glob("*.yaml"))
ROWS = sorted(file.stem for file in (HERE / "rows").glob("*.yaml"))
OF_TWELVE_LAYERS = {"bert4-pkd", "bert6-pkd", "distilbert-4"}
READ_BOTH_AS_ONE = {*OF_TWELVE_LAYERS, "pkd-2", "pkd-3", "distilbert", "minilm", "tinybert"}


@pytest.fixture
def read_once(monkeypatch):
    """Each preset and each row is read from its file once."""
    monkeypatch.chdir(ROOT)
    for name in ("read_params", "read_row"):
        monkeypatch.setattr(plan, name, cache(getattr(plan, name)))


@pytest.mark.parametrize("task", TASKS)
def test_every_row_of_a_task_is_a_whole_params_file(task, read_once):
    for row in ROWS:
        if row in READ_BOTH_AS_ONE and read_task(task).params.get("pairs") == "each":
            with pytest.raises(InputError, match="it reads two texts as one"):
                planned(task, row)
            continue
        params = Params.model_validate(planned(task, row))
        if row in OF_TWELVE_LAYERS:
            assert params.student.layers in (4, 6)


@pytest.mark.parametrize("task", TASKS)
def test_the_plan_of_a_task_can_be_written(task, read_once):
    params = planned(task, "l2a")
    check_keys(params, task)
    assert parse(to_yaml(params)) == params


def test_a_row_differs_from_l2a_in_its_own_params_and_in_nothing_else(monkeypatch):
    monkeypatch.chdir(ROOT)
    whole, quick = planned("imdb-rt", "l2a"), read_params(ROOT / "presets" / "quick.yaml")
    quick["data"]["source"] |= {"rows": 1500, "sentences": None}
    quick["augment"]["samples"] |= {"source": 1, "target": 20}
    quick["cache"] |= {"hidden": True, "attention": True}
    quick["objectives"] |= {"attention": 1, "hidden": 1}
    quick["student"] |= {"pooling": "first_token"}
    quick["distill"] |= {"epochs": 2, "least_steps": 130, "originals": ["target"], "dropout": True}
    quick["selector"] |= {"reward": "metric", "hidden": 128, "learning_rate": 3e-5}
    quick["pairs"] = "cross"
    assert whole == quick
    assert planned("imdb-rt", "no-attention") == {**whole, "objectives": {**whole["objectives"], "attention": 0.0}}
    assert planned("target-20", "l2a")["data"]["target"]["per_class"] == 20
    assert "where" not in planned("sst2-rt", "l2a")["data"]["source"]


def test_a_task_is_its_preset_over_params_yaml(monkeypatch):
    monkeypatch.chdir(ROOT)
    params, default = planned("inference", "l2a"), read_yaml(ROOT / "params.yaml")
    assert read_task("inference").preset == Path("presets/small-inference.yaml")
    assert params["selector"] == {**default["selector"], "reward": "metric", "hidden": 128, "learning_rate": 3e-5}
    assert params["data"]["source"] == {
        "path": "data/raw/mnli.jsonl", "columns": {"text": "premise", "text_pair": "hypothesis"}, "rows": 3000,
    }  # fmt: skip


@pytest.mark.parametrize("task", ["helpfulness", "inference", "paraphrase", "sentiment"])
def test_row_default_measures_what_a_task_s_preset_gives(task, read_once):
    measured, preset = planned(task, "default"), read_params(read_task(task).preset)
    # Both read source and target; a user's preset has no unlabelled texts, and would read them, too.
    assert measured["data"].pop("unlabelled")
    assert preset["data"].pop("unlabelled") is None
    assert measured["distill"].pop("originals") == ["source", "target"]
    assert preset["distill"].pop("originals") == ["source", "target", "unlabelled"]
    assert measured == preset


def test_every_cell_exists(read_once):
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


def test_the_figures_have_the_values_of_the_params(read_once):
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
    """DVC removes the outs of a stage before it runs, except those with `persist`."""
    stages = read_yaml(HERE / "dvc.yaml")["stages"]
    assert stages["results"]["outs"] == [
        {name: {"cache": False, "persist": True}} for name in ("results.csv", "predictions.parquet")
    ]


def test_a_row_that_does_not_fit_is_named(bench):
    odd, worse, by_f1 = {"params": {"objectives": {"attention": -1.0}}}, {"parms": {}}, {"params": {"score": "f1"}}
    bench(["l2a"], extra={"odd": odd, "worse": worse, "by-f1": by_f1})
    with pytest.raises(InputError, match=r"rows/odd\.yaml on benchmarks/paper/tasks/tiny\.yaml: objectives\.attention"):
        planned("tiny", "odd")
    with pytest.raises(InputError, match=r"rows/by-f1\.yaml on .*: score: got f1, .*; accepted: auto, accuracy, mcc$"):
        planned("tiny", "by-f1")
    with pytest.raises(InputError, match=r"rows/worse\.yaml: .*parms"):
        planned("tiny", "worse")
    with pytest.raises(InputError, match=r"rows/edaa\.yaml: no such file; accepted: .*eda"):
        planned("tiny", "edaa")


def test_a_bench_file_that_lacks_a_block_is_named(bench):
    here = bench(["l2a"])
    asked = read_yaml(here / "params.yaml")
    (here / "params.yaml").write_text(to_yaml({name: block for name, block in asked.items() if name != "tasks"}))
    with pytest.raises(InputError, match=r"params\.yaml: .*tasks"):
        read_asked(here)
