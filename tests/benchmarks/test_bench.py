"""A tiny benchmark from the plan to the report: measurements, failures, and the tables."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from transformers import AutoModelForSequenceClassification
from typer.testing import CliRunner

from benchmarks.paper.plan import read_asked
from benchmarks.paper.report import Results
from benchmarks.paper.results import collect, main_metric, paired_p_value, same_labels
from benchmarks.paper.run import app

BENCH = Path(__file__).parents[2] / "benchmarks" / "paper"


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


def test_a_study_has_the_tests_of_rows_with_its_seeds_alone(tmp_path):
    lines = [("one", "1", "accuracy", 0.7), ("one", "", "p", 0.01), ("many", "1", "accuracy", 0.6)]
    lines += [("many", "2", "accuracy", 0.8), ("many", "", "p", 0.02), ("l2a", "1", "accuracy", 0.5)]
    table = pd.DataFrame([("tiny", *line) for line in lines], columns=["task", "row", "seed", "metric", "value"])
    table.to_csv(tmp_path / "results.csv", index=False)
    study, everything = Results(tmp_path / "results.csv", [1]), Results(tmp_path / "results.csv")
    assert study.difference("tiny", "one") == everything.difference("tiny", "one") == "+0.200, p 0.010"
    assert study.difference("tiny", "many") == "+0.100"
    assert everything.difference("tiny", "many") == "+0.100, p 0.020"


def measured(folder: Path, actual: list, model: list) -> None:
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps({"accuracy": 0.5}))
    table = predictions(actual, model)
    table.insert(0, "id", range(len(table)))
    table.to_csv(folder / "predictions.csv", index=False)


def predictions(actual: list, model: list) -> pd.DataFrame:
    return pd.DataFrame({"actual": actual, "model": model})


def test_rows_are_compared_with_l2a_and_with_default(bench):
    here, actual = bench(["default", "l2a", "plain"]), ["no", "yes"] * 20
    wrong = {"default": 0, "l2a": 20, "plain": 20}
    for row, number in wrong.items():
        answers = ["yes" if index < number else label for index, label in enumerate(actual)]
        measured(here / "measured" / "tiny" / row / "1", actual, answers)
    collect(here)
    lines = pd.read_csv(here / "results.csv", keep_default_na=False)
    tests = lines[lines["metric"].str.startswith("p")]
    found = {(row, metric): value for row, metric, value in tests[["row", "metric", "value"]].itertuples(index=False)}
    assert found.keys() == {("default", "p"), ("l2a", "p_default"), ("plain", "p"), ("plain", "p_default")}
    assert found["plain", "p"] == 1.0
    assert found["plain", "p_default"] == found["l2a", "p_default"] == found["default", "p"] < 0.05


def test_predictions_of_another_machine_are_tested_with_those_of_this_one(bench):
    """Seed 1 was measured on a machine whose folders are gone, seed 2 here, and seed 3 on other texts."""
    here, actual = bench(["default", "l2a"], seeds=[1, 2, 3]), ["no", "yes"] * 20

    def measure(seed: int, wrong: int) -> None:
        for row, number in (("default", wrong), ("l2a", 0)):
            answers = ["yes" if index < number else label for index, label in enumerate(actual)]
            measured(here / "measured" / "tiny" / row / str(seed), actual, answers)

    def p() -> list[float]:
        collect(here)
        lines = pd.read_csv(here / "results.csv", dtype={"seed": str}, keep_default_na=False)
        return lines[(lines["row"] == "default") & (lines["metric"] == "p")]["value"].astype(float).tolist()

    measure(1, wrong=12)
    one_seed = p()
    texts = pd.read_parquet(here / "predictions.parquet")
    assert texts.groupby(["row", "seed"])["actual"].apply(list).to_dict() == {
        ("default", "1"): actual,
        ("l2a", "1"): actual,
    }
    shutil.rmtree(here / "measured")
    assert p() == one_seed
    pd.testing.assert_frame_equal(pd.read_parquet(here / "predictions.parquet"), texts)

    measure(2, wrong=12)
    two_seeds = p()
    assert two_seeds[0] < one_seed[0]
    # Of a row that was measured elsewhere the p-value is kept without predictions, too.
    shutil.rmtree(here / "measured")
    (here / "predictions.parquet").rename(here / "aside")
    assert p() == two_seeds
    # One that was measured here in part has none then, as with texts that differ.
    measure(3, wrong=12)
    assert p() == []
    (here / "aside").rename(here / "predictions.parquet")
    assert p()[0] <= two_seeds[0]
    shutil.rmtree(here / "measured" / "tiny" / "l2a" / "3")
    measured(here / "measured" / "tiny" / "l2a" / "3", actual[::-1], actual[::-1])
    assert p() == []


def test_a_cell_that_failed_keeps_no_predictions(bench):
    here, actual = bench(["default", "l2a"]), ["no", "yes"] * 20
    for row in ("default", "l2a"):
        measured(here / "measured" / "tiny" / row / "1", actual, actual)
    collect(here)
    shutil.rmtree(here / "measured" / "tiny" / "default")
    (here / "measured" / "tiny" / "default" / "1").mkdir(parents=True)
    (here / "measured" / "tiny" / "default" / "1" / "failed.txt").write_text("no more\n")
    assert collect(here) == "1 cells measured, 1 cells failed"
    assert set(pd.read_parquet(here / "predictions.parquet")["row"]) == {"l2a"}
    lines = pd.read_csv(here / "results.csv", keep_default_na=False)
    assert not lines["metric"].str.startswith("p").any()


def test_numbers_that_another_version_rounds_otherwise_are_thesame_labels():
    one, other = pd.Series(["0.8333", "0.0833", "1.0"]), pd.Series(["0.8333", "0.08333", "1.0"])
    assert same_labels(one, other, "pearson")
    assert not same_labels(one, other[::-1], "pearson")
    assert not same_labels(one, other[:2], "pearson")
    assert not same_labels(one, other, "accuracy")


def test_the_page_has_the_notes_and_every_row_asked_for():
    page = (BENCH / "RESULTS.md").read_text(encoding="utf-8")
    assert page.startswith((BENCH / "notes.md").read_text(encoding="utf-8").strip())
    for block in read_asked(BENCH).blocks():
        for row in block.rows:
            assert f"| {row} |" in page
        for task in block.tasks:
            assert re.search(rf"\b{task}\b", page)


def test_damaged_predictions_are_named(bench):
    here = bench(["l2a"])
    (here / "predictions.parquet").write_text("<<<<<<< ours\n")
    result = CliRunner().invoke(app, ["results"])
    assert result.exit_code == 1
    assert result.stderr == (
        "benchmarks/paper/predictions.parquet: damaged; accepted: the file as it is in Git, or none\n"
    )


def test_the_paired_test_of_accuracy_is_mcnemars():
    """One model is right in 14 of the 20 texts on which the two differ: swaps are fair coins, an exact sign test."""
    rng = np.random.default_rng(1)
    actual = rng.choice(["no", "yes"], 120)
    other = {"no": "yes", "yes": "no"}
    first = [label if index < 100 + 14 else other[label] for index, label in enumerate(actual)]
    second = [label if index < 100 or index >= 114 else other[label] for index, label in enumerate(actual)]
    # Split into two seeds.
    sides = [
        [predictions(list(actual[part]), predicted[part]) for part in (slice(0, 60), slice(60, 120))]
        for predicted in (first, second)
    ]
    assert paired_p_value(*sides, "accuracy") == pytest.approx(binomtest(14, 20).pvalue, abs=0.03)


def test_the_paired_test_is_of_the_score_that_decided():
    """One model finds most of a rare class, the other none of it, at about the same accuracy: MCC tells them apart."""
    actual = ["no"] * 90 + ["yes"] * 10
    finds = predictions(actual, ["no"] * 84 + ["yes"] * 6 + ["no"] * 3 + ["yes"] * 7)
    never = predictions(actual, ["no"] * 100)
    assert main_metric({"accuracy", "f1", "mcc"}) == "accuracy"
    assert paired_p_value([finds], [never], "accuracy") > 0.9
    assert main_metric({"accuracy", "f1", "mcc", "validation_mcc"}) == "mcc"
    assert paired_p_value([finds], [never], "mcc") < 0.1


def test_the_paired_test_of_numbers():
    rng = np.random.default_rng(2)
    actual = rng.normal(size=40)

    def said(values: np.ndarray) -> list[pd.DataFrame]:
        return [predictions([str(value) for value in actual], [str(value) for value in values])]

    good, like, noise = (actual + spread * rng.normal(size=40) for spread in (0.3, 0.3, 5.0))
    assert paired_p_value(said(good), said(noise), "pearson") < 0.01
    p = paired_p_value(said(good), said(like), "pearson")
    assert p > 0.05
    # A correlation does not depend on scale.
    assert paired_p_value(said(good), said(like * 3 + 5), "pearson") == pytest.approx(p, abs=0.02)


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
