"""The command: a peer from texts to the page, what is left out, and wrong options."""

import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from benchmarks.peers import __main__ as command
from benchmarks.peers import data, results
from pipeline.data.texts import Texts, write_texts
from pipeline.errors import InputError

ROOT = Path(__file__).parents[3]


def part(texts, start, stop):
    return Texts(texts.ids[start:stop], texts.texts[start:stop], None, texts.labels[start:stop], texts.names)


@pytest.fixture
def prepared(tmp_path, reviews):
    """Prepared texts of two seeds, without unlabelled ones."""
    for seed in (1, 2):
        folder = tmp_path / "texts" / str(seed)
        folder.mkdir(parents=True)
        target = reviews(120, seed)
        for name, start, stop in (("train", 0, 40), ("validation", 40, 60), ("test", 60, 120)):
            write_texts(folder / f"{name}.parquet", part(target, start, stop), "target")
        write_texts(folder / "source.parquet", reviews(100, seed + 10), "source")
    return tmp_path / "texts" / "{seed}"


@pytest.fixture
def page(tmp_path, monkeypatch):
    """A folder with a page and no results, in which the command works; every environment is this one."""
    here = tmp_path / "here"
    here.mkdir()
    (here / "README.md").write_text(f"{results.START}{results.END}")
    monkeypatch.setattr(command, "HERE", here)
    monkeypatch.setattr(command, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(command, "python_of", lambda requirements, place: Path(sys.executable))
    return here / "README.md"


def run(*options):
    return CliRunner().invoke(command.app, list(options))


def test_tfidf_learns_and_is_in_the_table(prepared, page):
    result = run("--only", "tfidf", "--seeds", "1,2", "--prepared", str(prepared))
    assert result.exit_code == 0, result.output
    for row in ("tfidf-labels", "tfidf-source-reviews", "tfidf-both-sentences"):
        runs = results.read_runs(page.parent / "results", row)
        assert [run["seed"] for run in runs] == [1, 2]
        assert all(run["accuracy"] > 0.7 for run in runs)
    assert page.read_text().count("| 1, 2 |") == 5


def test_without_a_source_its_rows_are_left_out(prepared, page):
    (Path(str(prepared).replace("{seed}", "1")) / "source.parquet").unlink()
    result = run("--only", "tfidf", "--seeds", "1", "--prepared", str(prepared))
    assert result.exit_code == 0, result.output
    assert [file.stem for file in (page.parent / "results").iterdir()] == ["tfidf-labels"]


def test_peers_of_unlabelled_texts_are_left_out_without_them(prepared, page):
    result = run("--only", "textbrewer,embedding-distillation", "--seeds", "2", "--prepared", str(prepared))
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert [line.split(",")[0] for line in lines] == ["embedding-distillation", "textbrewer"]
    assert all("has no unlabelled texts" in line for line in lines)


def test_a_peer_that_fails_does_not_stop_the_others(prepared, page, monkeypatch):
    monkeypatch.setattr(command, "run_script", lambda python, script, *_: f"exit code 1: no {script}")
    result = run("--only", "tfidf", "--seeds", "1,2", "--prepared", str(prepared))
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [f"tfidf, seed {seed}: exit code 1: no tfidf" for seed in (1, 2)]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--seeds", "one"], "--seeds: got one; accepted: whole numbers with commas, such as 1,2,3"),
        (["--prepared", "texts"], "--prepared: got texts for 3 seeds; accepted: a name with {seed}"),
        (["--teacher", "model"], "--teacher: got model for 3 seeds; accepted: a name with {seed}"),
    ],
)
def test_wrong_options_are_one_line(page, options, line):
    result = run(*options)
    assert (result.exit_code, result.stderr) == (1, f"{line}\n")


def test_a_teacher_is_made_again_only_for_other_params(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    made = []

    def train(params, *, prepared, out, metrics):
        made.append((params.seed, params.max_length))
        out.mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr(data, "train_teacher", train)
    folders = data.Folders(tmp_path / "kept", None, None)
    for length in (40, 40, 30):
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(params | {"max_length": length}))
        assert folders.trained_teacher(3, tmp_path) == tmp_path / "kept" / "3" / "teacher"
    assert made == [(3, 40), (3, 30)]


def test_pairs_are_no_task_for_the_peers(tmp_path, reviews):
    texts = reviews(8, 1)
    pairs = Texts(texts.ids, texts.texts, texts.texts, texts.labels, texts.names)
    write_texts(tmp_path / "test.parquet", pairs, "target")
    with pytest.raises(InputError, match="got pairs; accepted: texts with classes"):
        data.Folders(tmp_path, str(tmp_path), None).prepared_texts(1)
