"""The distill stage, from its command line to a student; and the help of stages, which imports nothing slow."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import transformers
import yaml
from typer.testing import CliRunner

from stages.cache_teacher import app as cache_teacher
from stages.distill import app

FIT = {"epochs": 2, "least_steps": 0, "batch_size": 16, "learning_rate": 0.002}


@pytest.fixture
def places(uneven, augmented, cached, tiny_classifier):
    return ("--prepared", uneven, "--augmented", augmented, "--cache", cached, "--teacher", tiny_classifier)


def test_a_student_a_selection_and_curves(command, places, tmp_path):
    result = command(app, *places, distill=FIT, selector={"every": 1})
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert result.stdout.startswith("distill: 0.0M parameters, validation accuracy 0.")
    assert result.stdout.count("\n") == 1
    classify = transformers.pipeline("text-classification", str(tmp_path / "models/student"), device="cpu")
    assert classify("a good film")[0]["label"] in ("negative", "positive")
    assert len(pd.read_parquet(tmp_path / "data/selection.parquet")) == 96
    reward = pd.read_csv(tmp_path / "dvclive/plots/metrics/reward.tsv", sep="\t")
    assert reward["step"].tolist() == list(range(1, 15))
    metric = pd.read_csv(tmp_path / "dvclive/plots/metrics/validation/metric.tsv", sep="\t")
    assert metric["step"].unique().tolist() == list(range(1, 15))
    summary = json.loads((tmp_path / "dvclive/metrics.json").read_text())
    assert summary["step"] == 14
    assert 0 <= summary["validation"]["metric"] <= 1


def test_every_curve_that_dvc_plots_exists_whatever_is_switched_off(command, places, tmp_path):
    declared = yaml.safe_load((Path(__file__).parents[2] / "dvc.yaml").read_text())["plots"]
    files = [file for plot in declared for part in plot.values() for file in part["y"] if file.startswith("dvclive/")]
    assert len(files) == 8
    off = {"objectives": {"attention": 0, "hidden": 0}, "selector": {"kind": "none"}}
    result = command(app, *places, distill={**FIT, "epochs": 1}, **off)
    assert result.exit_code == 0, result.output
    assert [file for file in files if not (tmp_path / file).is_file()] == []
    assert pd.read_csv(tmp_path / "dvclive/plots/metrics/reward.tsv", sep="\t")["reward"].tolist() == [0]


def test_the_same_again_is_the_same(command, places, tmp_path):
    kinds = ("student", "selection.parquet", "curves")
    for name in ("one", "other"):
        out = [
            part
            for kind, option in zip(kinds, ("--out", "--selection", "--curves"), strict=True)
            for part in (option, f"{name}/{kind}")
        ]
        result = command(app, *places, *out, distill={**FIT, "epochs": 1})
        assert result.exit_code == 0, result.output
    one, other = (
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }
        for name in ("one", "other")
    )
    assert one.keys() == other.keys()
    assert [str(path) for path in one if one[path] != other[path]] == []


@pytest.mark.parametrize(
    ("originals", "drops", "said"),
    [
        (["source", "target"], True, "of 144 neighbours and originals kept at the end)"),
        (["source", "target"], False, "of 96 neighbours kept at the end)"),
        (["target"], True, "of 96 neighbours kept at the end)"),
    ],
)
def test_of_what_it_counts_the_kept(command, uneven, augmented, tiny_classifier, originals, drops, said):
    read = ("--prepared", uneven, "--augmented", augmented, "--teacher", tiny_classifier)
    result = command(cache_teacher, *read, "--out", "cached", distill={"originals": originals})
    assert result.exit_code == 0, result.output
    taught = {**FIT, "epochs": 1, "originals": originals}
    result = command(app, *read, "--cache", "cached", distill=taught, selector={"originals": drops})
    assert result.exit_code == 0, result.output
    assert said in result.stdout


@pytest.mark.parametrize(
    ("section", "said"),
    [
        (
            {"selector": {"kind": "reinforce"}},
            "distill: params.yaml: selector.kind: got 'reinforce'; accepted: reinforced, r",
        ),
        ({"student": {"layers": 4}}, "distill: student.layers: got 4, but "),
        (
            {"student": {"init": "fresh", "hidden": 16, "intermediate": 16, "heads": 2}},
            "distill: objectives.attention: the student has 2 attention heads and the teacher 4; ",
        ),
        ({"distill": {"originals": ["source"]}}, "distill: teacher cache: no entry for id 'source-000'; "),
    ],
)
def test_an_error_is_one_line_and_leaves_nothing(command, one_line, places, section, said):
    assert one_line(command(app, *places, **section)).startswith(said)


def test_no_cache(command, one_line, places):
    assert "no teacher cache; run the cache_teacher stage first" in one_line(
        command(app, *places, "--cache", "nowhere")
    )


def test_help():
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    assert "--selection" in result.output


def test_help_of_no_stage_imports_slow_libraries():
    code = """
import contextlib, io, pathlib, runpy, sys
names = sorted(path.stem for path in pathlib.Path(sys.argv[1]).glob("*.py"))
stages = [name for name in names if name not in ("__init__", "command")]
for name in stages:
    sys.argv = [name, "--help"]
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            runpy.run_module(f"stages.{name}", run_name="__main__")
    except SystemExit as end:
        assert not end.code, (name, end.code)
    assert "Usage" in said.getvalue(), name
    slow = {"torch", "transformers", "datasets", "pandas", "pyarrow", "sklearn", "dvclive"} & set(sys.modules)
    assert not slow, (name, slow)
print(*stages)
"""
    import stages

    done = subprocess.run([sys.executable, "-c", code, stages.__path__[0]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {"prepare", "teacher", "generator", "augment", "cache_teacher", "distill", "evaluate"} <= set(
        done.stdout.split()
    )
