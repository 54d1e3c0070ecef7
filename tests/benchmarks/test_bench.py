"""A tiny benchmark from the plan to the report: measurements, failures, and the tables."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from transformers import AutoModelForSequenceClassification
from typer.testing import CliRunner

from benchmarks.paper.results import collect, paired_p_value
from benchmarks.paper.run import app


@pytest.fixture
def run() -> Callable[..., str]:
    def run(*arguments: object) -> str:
        result = CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.stderr
        return result.stderr

    return run


ROWS = ["teacher", "teacher-ft", "student-ft", "plain", "bilstm-soft-neighbours", "distilbert", "pkd-2", "minilm",
        "tinybert", "l2a", "heads"]  # fmt: skip
AFTER = ["random-selector", "rounds-2"]
EXTRA = {
    # bilstm-soft itself needs WordNet for its rules.
    "bilstm-soft-neighbours": {
        "params": {
            "student": {"init": "bilstm"},
            "objectives": {"attention": 0.0, "hidden": 0.0, "dark": 0.0, "logits": 1.0},
            "selector": {"kind": "none"},
        }
    },
    # A much lower rate than the selector's default, which the random selector must follow.
    "l2a": {"params": {"selector": {"initial_keep": 0.4}}},
    # Two heads, whereas the teacher has four.
    "heads": {"params": {"student": {"init": "fresh", "hidden": 16, "heads": 2}}},
}


@pytest.mark.slow
def test_a_tiny_matrix(bench, run):
    here = bench(ROWS, AFTER, extra=EXTRA)
    run("plan")
    run("prepare", "tiny", 1)
    run("generator", "tiny")
    run("teacher", "tiny", 1)
    errors = [run("row", "tiny", row, 1) for row in [*ROWS, *AFTER]]
    assert ["failed" in error for error in errors] == [row == "heads" for row in [*ROWS, *AFTER]]

    measured = {row: here / "measured" / "tiny" / row / "1" for row in [*ROWS, *AFTER]}
    numbers = {
        row: json.loads((folder / "metrics.json").read_text()) for row, folder in measured.items() if row != "heads"
    }
    assert all(0 <= each["accuracy"] <= 1 for each in numbers.values())
    assert [path.name for path in measured["heads"].iterdir()] == ["failed.txt"]
    assert "attention heads" in (measured["heads"] / "failed.txt").read_text()
    # The two rows about teachers measure two teachers; the random selector keeps about as many neighbours as l2a's.
    assert not (measured["teacher"] / "model").exists()
    assert (measured["teacher-ft"] / "model").exists()
    assert numbers["random-selector"]["kept"] == pytest.approx(numbers["l2a"]["kept"], abs=0.2)
    kept = [pd.read_parquet(measured[row] / "selection.parquet")["kept"] for row in ("random-selector", "l2a")]
    assert not kept[0].equals(kept[1])
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
    plain = lines[(lines["row"] == "plain") & (lines["metric"] == "accuracy")]
    assert plain["value"].tolist() == [numbers["plain"]["accuracy"]]
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
    # Values of a cell whose folder no longer exists are kept, and so is the p-value of its row.
    before = (here / "results.csv").read_text()
    measured["plain"].rename(here / "elsewhere")
    assert "1 cells measured elsewhere" in collect(here)
    assert (here / "results.csv").read_text() == before
    # A row that fails loses its p-value.
    measured["plain"].mkdir()
    (measured["plain"] / "failed.txt").write_text("no more\n")
    collect(here)
    lines = pd.read_csv(here / "results.csv", dtype={"seed": str}, keep_default_na=False)
    assert lines[lines["row"] == "plain"]["metric"].tolist() == ["failed"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("row", "tiny", "eda", 1), "plan/tiny/eda.yaml: no such params file"),
        (("teacher", "tiny", 1), "plan/tiny/l2a.yaml: no such params file"),
    ],
)
def test_a_missing_file_is_named(bench, run, arguments, message):
    bench(["l2a"])
    assert message in run(*arguments)


def test_a_report_without_results(bench):
    bench(["l2a"])
    result = CliRunner().invoke(app, ["report"])
    assert result.exit_code == 1
    assert result.stderr == "benchmarks/paper/results.csv: no such file; run the results stage first\n"


def test_a_cell_after_a_failure_fails_with_the_same_message(bench, run):
    here = bench(["l2a", "plain"], ["random-selector"])
    (here.parents[1] / "data" / "target.csv").unlink()
    run("plan")
    for arguments in (
        ("prepare", "tiny", 1),
        ("generator", "tiny"),
        ("teacher", "tiny", 1),
        ("row", "tiny", "plain", 1),
    ):
        run(*arguments)
    message = (here / "shared" / "tiny" / "1" / "prepared" / "failed.txt").read_text()
    assert "data.target.path" in message
    assert (here / "measured" / "tiny" / "plain" / "1" / "failed.txt").read_text() == message


def predictions(folder: Path, actual: list, model: list, metric: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps({metric: 0.5}))
    pd.DataFrame({"id": range(len(actual)), "actual": actual, "model": model}).to_csv(
        folder / "predictions.csv", index=False
    )
    return folder


def test_rows_are_compared_with_l2a_and_with_default(bench):
    here, actual = bench(["default", "l2a", "plain"]), ["no", "yes"] * 20
    wrong = {"default": 0, "l2a": 20, "plain": 20}
    for row, number in wrong.items():
        answers = ["yes" if index < number else label for index, label in enumerate(actual)]
        predictions(here / "measured" / "tiny" / row / "1", actual, answers, "accuracy")
    collect(here)
    lines = pd.read_csv(here / "results.csv", keep_default_na=False)
    tests = lines[lines["metric"].str.startswith("p")]
    found = {(row, metric): value for row, metric, value in tests[["row", "metric", "value"]].itertuples(index=False)}
    assert found.keys() == {("default", "p"), ("l2a", "p_default"), ("plain", "p"), ("plain", "p_default")}
    assert found["plain", "p"] == 1.0
    assert found["plain", "p_default"] == found["l2a", "p_default"] == found["default", "p"] < 0.05


def test_the_paired_test_of_accuracy_is_mcnemars(tmp_path):
    """One model is right in 14 of the 20 texts on which the two differ: swaps are fair coins, an exact sign test."""
    rng = np.random.default_rng(1)
    actual = rng.choice(["no", "yes"], 120)
    other = {"no": "yes", "yes": "no"}
    first = [label if index < 100 + 14 else other[label] for index, label in enumerate(actual)]
    second = [label if index < 100 or index >= 114 else other[label] for index, label in enumerate(actual)]
    # Split into two seeds.
    sides = [
        [
            predictions(tmp_path / name / str(seed), list(actual[part]), predicted[part], "accuracy")
            for seed, part in halves
        ]
        for name, predicted in (("first", first), ("second", second))
        for halves in ([(1, slice(0, 60)), (2, slice(60, 120))],)
    ]
    assert paired_p_value(*sides) == pytest.approx(binomtest(14, 20).pvalue, abs=0.03)


def test_the_paired_test_is_of_the_score_that_decided(tmp_path):
    """One model finds most of a rare class, the other none of it, at about the same accuracy: MCC tells them apart."""
    actual = ["no"] * 90 + ["yes"] * 10
    finds = ["no"] * 84 + ["yes"] * 6 + ["no"] * 3 + ["yes"] * 7
    never = ["no"] * 100
    p = {}
    for metric in ("accuracy", "mcc"):
        folders = [
            predictions(tmp_path / metric / name, actual, said, "accuracy")
            for name, said in (("a", finds), ("b", never))
        ]
        (folders[0] / "metrics.json").write_text(json.dumps({"accuracy": 0.9, f"validation_{metric}": 0.5}))
        p[metric] = paired_p_value([folders[0]], [folders[1]])
    assert p["accuracy"] > 0.9
    assert p["mcc"] < 0.1


def test_the_paired_test_of_numbers(tmp_path):
    rng = np.random.default_rng(2)
    actual = rng.normal(size=40)
    good, like, noise = (actual + spread * rng.normal(size=40) for spread in (0.3, 0.3, 5.0))
    folders = [
        [predictions(tmp_path / name, list(actual), list(predicted), "pearson")]
        for name, predicted in (("good", good), ("like", like), ("noise", noise))
    ]
    assert paired_p_value(folders[0], folders[2]) < 0.01
    assert paired_p_value(folders[0], folders[1]) > 0.05
    # A correlation does not depend on scale.
    moved = [predictions(tmp_path / "moved", list(actual), list(like * 3 + 5), "pearson")]
    assert paired_p_value(folders[0], moved) == pytest.approx(paired_p_value(folders[0], folders[1]), abs=0.02)


def test_a_mistyped_name_is_one_line_and_writes_nothing(bench):
    here = bench(["l2a"], [])
    for arguments, file in (
        (["row", "tiny", "l2aa", "1"], "l2aa.yaml"),
        (["row", "tinny", "l2a", "1"], "tinny.yaml"),
        (["prepare", "tinny", "1"], "tinny.yaml"),
        (["teacher", "tinny", "1"], "tinny.yaml"),
        (["generator", "tinny"], "tinny.yaml"),
    ):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 1
        assert file in result.stderr
        assert result.stderr.count("\n") == 1
    assert not (here / "measured").exists()
    assert not (here / "shared").exists()
