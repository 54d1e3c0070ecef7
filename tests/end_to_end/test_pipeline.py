"""The whole pipeline under DVC, with tiny random models: which stages run, which are skipped, what they write."""

import json
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import dvc.api
import pandas as pd
import pytest
from helpers.tiny_project import ROOT, Repo

from pipeline.augment.shards import read_augmented

STAGES = [
    "commits",
    "tables",
    "prepare",
    "generator",
    "teacher",
    "rounds",
    "augment@1",
    "cache_teacher@1",
    "distill@1",
    "student_ft",
]
STAGES += ["evaluate", "export", "share", "report"]
LAST = {"evaluate", "export", "share", "report"}
ROUND = ["refine@2", "augment@2", "cache_teacher@2", "distill@2"]


def first_round(stages: Iterable[str]) -> list[str]:
    """The stages without those of rounds that are not asked for, which take a second to say so."""
    return [stage for stage in stages if not stage.endswith(("@2", "@3"))]


def without_tables(stages: Iterable[str]) -> list[str]:
    """The stages without `tables`, which takes a second and runs whenever params.yaml is written anew."""
    return [stage for stage in stages if stage != "tables"]


@pytest.fixture(scope="module")
def repo(project: Callable[..., Repo], tmp_path_factory: pytest.TempPathFactory) -> Repo:
    """The project after `dvc repro`, committed."""
    repo = project(tmp_path_factory.mktemp("repo") / "project")
    ran = repo.stages_run("repro")
    assert first_round(ran) == STAGES
    repo.run("git", "add", "-A")
    repo.run("git", "commit", "-qm", "after")
    return repo


def test_repro_leaves_all_artifacts_and_a_clean_tree(repo: Repo) -> None:
    scores = json.loads((repo.folder / "metrics" / "evaluation.json").read_text())
    assert list(scores) == ["teacher", "student", "student_ft"]
    for model in scores.values():
        assert 0 <= model["accuracy_low"] <= model["accuracy"] <= model["accuracy_high"] <= 1
    augmented = read_augmented(repo.folder / "data" / "augmented").to_pandas()
    assert augmented.groupby("domain").size().to_dict() == {"source": 40, "target": 48}
    selection = pd.read_parquet(repo.folder / "data" / "selection.parquet")
    assert len(augmented.merge(selection, on="id", validate="one_to_one")) == 88
    assert repo.run("git", "status", "--short") == ""
    assert "up to date" in repo.dvc("status")


def test_an_interpreter_of_its_own_makes_the_same_as_a_fork(repo: Repo, tmp_path: Path) -> None:
    """All other stages here run in forks of a process with the libraries imported."""
    unforked = Repo(repo.folder, Path(sys.executable).parent)
    unforked.environment["XDG_CACHE_HOME"] = str(tmp_path / "cache")
    for stage in ("prepare", "teacher"):
        options = ("--out", str(tmp_path / stage), "--metrics", str(tmp_path / f"{stage}.json"))
        unforked.run("stages/run", stage, *options)
    for path, made in (("prepare/test.parquet", "data/prepared"), ("teacher/model.safetensors", "models/teacher")):
        assert (tmp_path / path).read_bytes() == (repo.folder / made / Path(path).name).read_bytes()


def test_a_second_repro_runs_nothing(repo: Repo) -> None:
    assert repo.stages_run("repro") == []


def test_the_notebook_computes_by_hand_what_the_stages_wrote(repo: Repo, tmp_path: Path) -> None:
    """It compares those of the drawing and of the teacher itself."""
    notebook = json.loads((ROOT / "docs" / "one_neighbour.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert sum(cell.count("assert ") for cell in cells) == 7
    (tmp_path / "cells.py").write_text("\n".join(cells), encoding="utf-8")
    unforked = Repo(repo.folder, Path(sys.executable).parent)
    unforked.environment |= {"PYTHONPATH": str(repo.folder), "MPLBACKEND": "agg", "MPLCONFIGDIR": str(tmp_path)}
    assert "L_att = " in unforked.run(sys.executable, str(tmp_path / "cells.py"))


def test_the_student_opens_in_transformers(repo: Repo) -> None:
    from transformers import pipeline

    classify = pipeline("text-classification", str(repo.folder / "models" / "student"))
    assert classify("the film is good")[0]["label"] in ("negative", "positive")


def test_outs_name_no_absolute_path(repo: Repo) -> None:
    for path in [*repo.folder.glob("models/**/*.json"), *repo.folder.glob("metrics/*.json"), repo.folder / "dvc.lock"]:
        assert str(repo.folder.parent) not in path.read_text(), path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("alpha=0.8", {"augment@1", "cache_teacher@1", "distill@1", "evaluate", "export", "share", "report"}),
        ("selector.kind=none", {"distill@1", "evaluate", "export", "share", "report"}),
        ("evaluate.resamples=200", {"evaluate", "share", "report"}),
        ("export.vocabulary=seen", {"export", "share", "report"}),
    ],
)
def test_an_experiment_runs_what_its_param_concerns(repo: Repo, change: str, expected: set[str]) -> None:
    ran = repo.stages_run("exp", "run", "-S", change)
    repo.run("git", "checkout", "-q", ".")
    repo.dvc("checkout", "-q")
    assert set(first_round(without_tables(ran))) == expected


def test_the_seed_changes_every_stage_that_draws(repo: Repo) -> None:
    params = repo.folder / "params.yaml"
    params.write_text(params.read_text().replace("seed: 1", "seed: 2"))
    try:
        assert set(first_round(repo.changed())) == {*STAGES} - {"commits", "rounds", "cache_teacher@1", "export"}
    finally:
        repo.run("git", "checkout", "-q", ".")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_second_round_goes_on_from_the_first(repo: Repo) -> None:
    """The first round does not run again, and the third has nothing to do."""
    before = {
        path: path.read_bytes()
        for path in (repo.folder / "models").rglob("*")
        if path.is_file() and path.parts[-2] not in ("onnx", "int8")
    }
    try:
        ran = repo.stages_run("exp", "run", "-S", "rounds=2")
        ran = [stage for stage in without_tables(ran) if not stage.endswith("@3")]
        # The stages that depend on the last round alone run in any order.
        assert ran[: len(ROUND) + 1] == ["rounds", *ROUND]
        assert set(ran[len(ROUND) + 1 :]) == LAST
        assert {path: path.read_bytes() for path in before} == before
        second = repo.folder / "rounds" / "2"
        folders = (repo.folder / "data" / "augmented", second / "augmented")
        drawn = [read_augmented(folder).to_pandas() for folder in folders]
        assert len(drawn[0]) == len(drawn[1])
        assert set(drawn[1]["id"]).isdisjoint(drawn[0]["id"])
        refined = json.loads((second / "refine.json").read_text())
        assert refined["neighbours"] == 48
        assert [file.name for file in (repo.folder / "rounds" / "3" / "student").iterdir()] == ["left_out.json"]
        weights = [folder / "student" / "model.safetensors" for folder in (repo.folder / "models", second)]
        assert weights[0].read_bytes() != weights[1].read_bytes()

        # One more round leaves the first two as they are.
        assert repo.stages_run("exp", "run", "-S", "rounds=3", "rounds") == ["rounds"]
        assert {*without_tables(repo.changed())} == {*(stage.replace("2", "3") for stage in ROUND), *LAST}
    finally:
        repo.run("git", "checkout", "-q", ".")
        repo.dvc("checkout", "-q", "--force")


def test_a_colleague_pulls_the_outs_and_runs_nothing(repo: Repo, tmp_path: Path) -> None:
    remote = ("remote", "add", "--local", "--default", "storage", str(tmp_path / "storage"))
    repo.dvc(*remote)
    repo.dvc("push")
    repo.run("git", "clone", "-q", str(repo.folder), str(tmp_path / "clone"))
    clone = Repo(tmp_path / "clone", repo.programs)
    clone.dvc(*remote)
    clone.dvc("pull")
    for name in ("models/student/model.safetensors", "models/int8/model.onnx", "data/selection.parquet"):
        assert (clone.folder / name).read_bytes() == (repo.folder / name).read_bytes()
    assert "up to date" in clone.dvc("status")
    assert clone.stages_run("repro") == []
    with dvc.api.open("models/student/config.json", repo=str(clone.folder)) as config:
        assert json.load(config)["id2label"] == {"0": "negative", "1": "positive"}
    shown = dvc.api.metrics_show(repo=str(clone.folder))
    scores = json.loads((repo.folder / "metrics" / "evaluation.json").read_text())
    for model in ("teacher", "student", "student_ft"):
        assert shown[model]["accuracy"] == scores[model]["accuracy"]


@pytest.mark.slow
def test_earlier_runs_are_taken_from_dvc_s_run_cache(repo: Repo) -> None:
    """Back at params that have been run, nothing runs again, and the stage's metrics are restored, too."""
    repo.stages_run("exp", "run", "-S", "teacher.batch_size=4")
    back = repo.dvc("exp", "run", "-S", "teacher.batch_size=8")
    assert without_tables(re.findall(r"Running stage '(.+)'", back)) == []
    assert "Stage 'teacher' is cached - skipping run" in back
    assert json.loads((repo.folder / "metrics" / "teacher.json").read_text())["parameters"] > 0
    repo.run("git", "checkout", "-q", ".")
    repo.dvc("checkout", "-q", "--force")


@pytest.mark.slow
def test_experiments_can_be_shown_and_compared(repo: Repo) -> None:
    assert "student.accuracy" in repo.dvc("exp", "show", "--csv")
    assert "evaluate" in repo.dvc("dag")
    repo.dvc("metrics", "diff")


@pytest.mark.parametrize(
    ("task", "values", "mark"),
    [
        ("classification", "negative,positive", '"mark": "rect"'),
        ("regression", "0.25,0.75", '"mark": {"type": "point", "opacity"'),
    ],
)
def test_the_plot_of_the_predictions_follows_the_task(repo: Repo, task: str, values: str, mark: str) -> None:
    params, predictions = repo.folder / "params.yaml", repo.folder / "plots" / "predictions.csv"
    params.write_text(params.read_text().replace("task: classification", f"task: {task}"))
    predictions.unlink()
    predictions.write_text(f"actual,student\n{values}\n")
    try:
        repo.dvc("plots", "show", "-o", str(repo.folder.parent / task))
    finally:
        repo.run("git", "checkout", "-q", ".")
        repo.dvc("checkout", "-q", "--force")
    page = (repo.folder.parent / task / "index.html").read_text()
    assert "The student on the validation set" in page
    assert mark in page


@pytest.mark.slow
def test_a_stage_of_all_rounds_and_one_of_a_single_round_can_be_named(repo: Repo) -> None:
    """`dvc repro distill` runs the stage in every round that is asked for, `distill@1` in one of them."""
    change = ("-S", "distill.learning_rate=0.003")
    try:
        ran = repo.stages_run("exp", "run", *change, "distill")
        assert first_round(without_tables(ran)) == ["distill@1"]
        assert repo.stages_run("repro", "-f", "-s", "distill@1") == ["distill@1"]
        assert "distill@1" in repo.dvc("status", "distill") + repo.dvc("dag", "distill@1")
    finally:
        repo.run("git", "checkout", "-q", ".")
        repo.dvc("checkout", "-q", "--force")
