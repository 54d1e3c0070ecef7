"""Scores of peers' predictions, their files, and the table of the page."""

import json
import statistics

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from benchmarks.peers import results
from benchmarks.peers.contestants import PEERS
from pipeline.data.texts import Texts
from pipeline.errors import InputError

HERE = results.HERE
FIGURES = {"parameters": 2_000_000, "megabytes": 8.04, "ms_alone": 3.0, "ms_bulk": 0.5, "minutes": 12.3}
MACHINE = {"processor": "some processor", "cores": 2, "threads": 2}


def a_run(seed, accuracy):
    return {"seed": seed, "accuracy": accuracy, "f1": accuracy, **FIGURES, **MACHINE}


def texts_with(names, labels):
    count = len(labels)
    ids, texts = [f"target-{i}" for i in range(count)], [f"text {i}" for i in range(count)]
    return Texts(ids, texts, None, np.asarray(labels), names)


@pytest.mark.parametrize(("names", "average"), [(["no", "yes"], "binary"), (["a", "b", "c"], "macro")])
def test_scores_are_those_of_scikit_learn(names, average):
    rng = np.random.default_rng(1)
    labels, predicted = rng.integers(len(names), size=(2, 300))
    run = results.score("row", {"predicted": [names[i] for i in predicted], **FIGURES}, texts_with(names, labels))
    assert run["accuracy"] == pytest.approx(accuracy_score(labels, predicted), abs=1e-4)
    expected = f1_score(labels, predicted, average=average, pos_label=1 if average == "binary" else None)
    assert run["f1"] == pytest.approx(expected, abs=1e-4)
    assert {name: run[name] for name in FIGURES} == FIGURES
    assert "predicted" not in run


@pytest.mark.parametrize("predicted", [["no"], ["no", "maybe"]])
def test_predictions_that_are_missing_or_no_class(predicted):
    with pytest.raises(InputError, match=r"row: got \d predictions of .*; accepted: 2 of no, yes"):
        results.score("row", {"predicted": predicted}, texts_with(["no", "yes"], [0, 1]))


def test_a_run_takes_the_place_of_the_same_seed(tmp_path):
    for seed, accuracy in ((2, 0.5), (1, 0.6), (2, 0.7)):
        results.record(tmp_path, "row", a_run(seed, accuracy))
    assert [(run["seed"], run["accuracy"]) for run in results.read_runs(tmp_path, "row")] == [(1, 0.6), (2, 0.7)]


def test_the_table_has_mean_and_deviation_over_seeds(tmp_path):
    accuracies = [0.71, 0.75, 0.7]
    for seed, accuracy in enumerate(accuracies, start=1):
        results.record(tmp_path, "textbrewer", a_run(seed, accuracy))
    lines = results.table(tmp_path).splitlines()
    mean, spread = np.mean(accuracies), np.std(accuracies, ddof=1)
    (line,) = [line for line in lines if line.startswith("| TextBrewer")]
    assert [cell.strip() for cell in line.split("|")][2:-1] == [
        f"{mean:.3f} ± {spread:.3f}", "2M", "8.04", "3", "0.5", "12.3", "1, 2, 3",
    ]  # fmt: skip
    others = [line for line in lines if "not run" in line]
    assert len(others) == sum(len(peer.rows) for peer in PEERS.values()) + len(results.STUDENTS) - 1
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1
    assert lines[-1] == "Times are those of 2 threads on 2 cores, some processor."


def test_one_seed_has_no_deviation(tmp_path):
    results.record(tmp_path, "textbrewer", a_run(1, 0.7))
    assert "| 0.700 | 2M |" in results.table(tmp_path)


def test_rendering_changes_the_table_only(tmp_path):
    page = tmp_path / "README.md"
    page.write_text(f"# Before\n\n{results.START}\nold\n{results.END}\nAfter.\n")
    results.record(tmp_path, "textbrewer", a_run(1, 0.7))
    for _ in range(2):
        results.render(tmp_path, page)
        text = page.read_text()
        assert text.startswith("# Before\n\n<!--")
        assert text.endswith("\nAfter.\n")
        assert "old" not in text
        assert text.count("0.700") == 1


def test_the_page_has_the_results():
    page = (HERE / "README.md").read_text(encoding="utf-8")
    assert page.split(results.START)[1].split(results.END)[0] == f"\n{results.table(HERE / 'results')}\n"


def test_every_file_of_results_is_a_row_of_the_table():
    rows = {row for peer in PEERS.values() for row in peer.rows} | set(results.STUDENTS)
    for file in (HERE / "results").glob("*.json"):
        content = json.loads(file.read_text(encoding="utf-8"))
        assert content["row"] == file.stem
        assert file.stem in rows
        seeds = [run["seed"] for run in content["runs"]]
        assert seeds == sorted(set(seeds))
        assert all(0 < run["accuracy"] <= 1 and run["ms_alone"] > 0 for run in content["runs"])
        assert statistics.fmean(run["ms_bulk"] for run in content["runs"]) > 0
