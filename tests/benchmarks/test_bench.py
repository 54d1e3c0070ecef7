"""A tiny matrix from the plan to the report: what is measured, what fails, what is told of it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from transformers import AutoModelForSequenceClassification
from typer.testing import CliRunner

from benchmarks.paper.results import collect, paired_p
from benchmarks.paper.run import app


@pytest.fixture
def run() -> Callable[..., str]:
    def run(*words: object) -> str:
        done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
        assert done.exit_code == 0, done.stderr
        return done.stderr

    return run


ROWS = ["teacher", "teacher-ft", "student-ft", "plain", "bilstm-soft-neighbours", "distilbert", "pkd-2", "minilm",
        "tinybert", "l2a", "heads"]  # fmt: skip
AFTER = ["random-selector", "rounds-2"]
EXTRA = {
    # The rules of bilstm-soft ask for WordNet.
    "bilstm-soft-neighbours": {
        "params": {
            "student": {"init": "bilstm"},
            "objectives": {"attention": 0.0, "hidden": 0.0, "dark": 0.0, "logits": 1.0},
            "selector": {"kind": "none"},
        }
    },
    # Kept far less often than a selector's default, which the random one must follow.
    "l2a": {"params": {"selector": {"initial_keep": 0.4}}},
    # Two heads where the teacher has four.
    "heads": {"params": {"student": {"init": "fresh", "hidden": 16, "heads": 2}}},
}


def test_a_tiny_matrix(bench, run):
    here = bench(ROWS, AFTER, extra=EXTRA)
    run("plan")
    run("prepare", "tiny", 1)
    run("generator", "tiny")
    run("teacher", "tiny", 1)
    said = [run("row", "tiny", row, 1) for row in [*ROWS, *AFTER]]
    assert ["failed" in line for line in said] == [row == "heads" for row in [*ROWS, *AFTER]]

    measured = {row: here / "measured" / "tiny" / row / "1" for row in [*ROWS, *AFTER]}
    numbers = {
        row: json.loads((folder / "metrics.json").read_text()) for row, folder in measured.items() if row != "heads"
    }
    assert all(0 <= of["accuracy"] <= 1 for of in numbers.values())
    assert [path.name for path in measured["heads"].iterdir()] == ["failed.txt"]
    assert "attention heads" in (measured["heads"] / "failed.txt").read_text()
    # Two rows about teachers measure two teachers; of the random selector's neighbours about as many are kept.
    assert not (measured["teacher"] / "model").exists()
    assert (measured["teacher-ft"] / "model").exists()
    assert numbers["random-selector"]["kept"] == pytest.approx(numbers["l2a"]["kept"], abs=0.2)
    chosen = [pd.read_parquet(measured[row] / "selection.parquet")["kept"] for row in ("random-selector", "l2a")]
    assert not chosen[0].equals(chosen[1])
    assert (
        AutoModelForSequenceClassification.from_pretrained(measured["distilbert"] / "student").config.num_hidden_layers
        == 3
    )
    assert (measured["rounds-2"] / "refine-2.json").is_file()
    assert not list(here.rglob("temporary"))

    run("results")
    lines = pd.read_csv(here / "results.csv", dtype={"seed": str}, keep_default_na=False)
    assert list(lines.columns) == ["task", "row", "seed", "metric", "value"]
    assert set(lines["row"]) == {"data", *ROWS, *AFTER}
    found = lines[(lines["row"] == "plain") & (lines["metric"] == "accuracy")]
    assert found["value"].tolist() == [numbers["plain"]["accuracy"]]
    assert lines[lines["metric"] == "failed"]["row"].tolist() == ["heads"]

    run("report")
    report = (here / "RESULTS.md").read_text()
    assert all(f"| {row} |" in report for row in [*ROWS, *AFTER])
    assert "| heads | failed |" in report
    assert f"| plain | {numbers['plain']['accuracy']:.3f} (1) |" in report
    assert {file.name for file in (here / "figures").iterdir()} == {
        f"tiny-{name}.svg" for name in ("alpha", "neighbours", "target-size", "temperature")
    }
    assert "| tiny | heads | 1 |" in report
    # Where what was measured is no longer there, its figures stay, and so does what they were tested to be.
    before = (here / "results.csv").read_text()
    measured["plain"].rename(here / "elsewhere")
    assert "1 cells measured elsewhere" in collect(here)
    assert (here / "results.csv").read_text() == before
    # A row that fails now has no test of what it was.
    measured["plain"].mkdir()
    (measured["plain"] / "failed.txt").write_text("no more\n")
    collect(here)
    lines = pd.read_csv(here / "results.csv", dtype={"seed": str}, keep_default_na=False)
    assert lines[lines["row"] == "plain"]["metric"].tolist() == ["failed"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("row", "tiny", "eda", 1), "plan/tiny/eda.yaml: no such params file"),
        (("teacher", "tiny", 1), "plan/tiny/l2a.yaml: no such params file"),
    ],
)
def test_what_is_not_there_is_named(bench, run, words, said):
    bench(["l2a"])
    assert said in run(*words)


def test_a_report_of_nothing(bench):
    bench(["l2a"])
    done = CliRunner().invoke(app, ["report"])
    assert done.exit_code == 1
    assert done.stderr == "benchmarks/paper/results.csv: no such file; run the results stage first\n"


def test_what_goes_on_from_a_failure_fails_with_its_words(bench, run):
    here = bench(["l2a", "plain"], ["random-selector"])
    (here.parents[1] / "data" / "target.csv").unlink()
    run("plan")
    for words in (("prepare", "tiny", 1), ("generator", "tiny"), ("teacher", "tiny", 1), ("row", "tiny", "plain", 1)):
        run(*words)
    why = (here / "shared" / "tiny" / "1" / "prepared" / "failed.txt").read_text()
    assert "data.target.path" in why
    assert (here / "measured" / "tiny" / "plain" / "1" / "failed.txt").read_text() == why


def predictions(folder: Path, actual: list, model: list, metric: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps({metric: 0.5}))
    pd.DataFrame({"id": range(len(actual)), "actual": actual, "model": model}).to_csv(
        folder / "predictions.csv", index=False
    )
    return folder


def test_the_paired_test_of_accuracy_is_mcnemars(tmp_path):
    """One model is right in 14 of the 20 texts on which the two differ: swaps are fair coins, an exact sign test."""
    draw = np.random.default_rng(1)
    actual = draw.choice(["no", "yes"], 120)
    other = {"no": "yes", "yes": "no"}
    ours = [label if place < 100 + 14 else other[label] for place, label in enumerate(actual)]
    theirs = [label if place < 100 or place >= 114 else other[label] for place, label in enumerate(actual)]
    # Of two seeds.
    sides = [
        [predictions(tmp_path / name / str(seed), list(actual[part]), given[part], "accuracy") for seed, part in halves]
        for name, given in (("ours", ours), ("theirs", theirs))
        for halves in ([(1, slice(0, 60)), (2, slice(60, 120))],)
    ]
    assert paired_p(*sides) == pytest.approx(binomtest(14, 20).pvalue, abs=0.03)


def test_the_paired_test_of_numbers(tmp_path):
    draw = np.random.default_rng(2)
    actual = draw.normal(size=40)
    good, like, noise = (actual + spread * draw.normal(size=40) for spread in (0.3, 0.3, 5.0))
    folders = [
        [predictions(tmp_path / name, list(actual), list(given), "pearson")]
        for name, given in (("good", good), ("like", like), ("noise", noise))
    ]
    assert paired_p(folders[0], folders[2]) < 0.01
    assert paired_p(folders[0], folders[1]) > 0.05
    # A correlation knows no scale.
    moved = [predictions(tmp_path / "moved", list(actual), list(like * 3 + 5), "pearson")]
    assert paired_p(folders[0], moved) == pytest.approx(paired_p(folders[0], folders[1]), abs=0.02)


def test_a_mistyped_name_is_one_line_and_leaves_nothing(bench):
    here = bench(["l2a"], [])
    for words, file in (
        (["row", "tiny", "l2aa", "1"], "l2aa.yaml"),
        (["row", "tinny", "l2a", "1"], "tinny.yaml"),
        (["prepare", "tinny", "1"], "tinny.yaml"),
        (["teacher", "tinny", "1"], "tinny.yaml"),
        (["generator", "tinny"], "tinny.yaml"),
    ):
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 1
        assert file in done.stderr
        assert done.stderr.count("\n") == 1
    assert not (here / "measured").exists()
    assert not (here / "shared").exists()
