"""Content of the hub that moves on, through `dvc repro`: no stage sees it before params.yaml names it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from helpers.hub import HOME
from helpers.tiny_project import ROOT


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A repository of the stages `commits` and `prepare`: `repro(rows=8)` returns those that ran, and the texts."""
    monkeypatch.chdir(tmp_path)
    variables = os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path / "cache"), "CI": "true"}
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    stages = {name: stages[name] for name in ("commits", "prepare")}
    for name, stage in stages.items():
        stage |= {"cmd": f"{sys.executable} -m stages.{name}", "deps": []}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))

    def run(*words):
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def repro(path="someone/texts", **sizes):
        params = yaml.safe_load((ROOT / "params.yaml").read_text())
        target = {"path": path, "rows": 8, "validation": 8, "test": 8, **sizes}
        params["data"] = {"target": target, "source": None, "unlabelled": None}
        params["teacher"]["domains"] = ["target"]
        Path("params.yaml").write_text(yaml.safe_dump(params))
        output = run(sys.executable, "-m", "dvc", "repro")
        import pandas as pd

        texts = pd.read_parquet("data/prepared/test.parquet")["text"]
        return [name for name in stages if f"Running stage '{name}'" in output], texts.iloc[0].split()[0]

    run("git", "init", "-q")
    run(sys.executable, "-m", "dvc", "init", "-q")
    return repro


def rows(word):
    lines = [f"{word} text of number {row},{'ab'[row % 2]}" for row in range(40)]
    return {"train.csv": "\n".join(["text,label", *lines]).encode()}


@pytest.mark.slow
def test_a_branch_that_moves_on_is_no_change_and_a_commit_in_params_is_one(project, hub):
    first = hub.publish("someone/texts", rows("first"), kind="dataset")
    assert project() == (["commits", "prepare"], "first")
    second = hub.publish("someone/texts", rows("second"), kind="dataset")
    assert project() == ([], "first")
    # Nor where other params change, on a machine that has fetched nothing yet.
    hub.empty_cache()
    assert project(rows=10) == (["commits", "prepare"], "first")
    assert f'"commit": "{first}"' in Path("hub.json").read_text()
    assert first in Path("dvc.lock").read_text()
    assert first in Path("metrics/data.json").read_text()
    assert project(f"someone/texts@{second}") == (["commits", "prepare"], "second")
    # Without the hub, all of it is in the cache.
    hub.stop()
    assert project(f"someone/texts@{second}", rows=12) == (["commits", "prepare"], "second")
    assert HOME.is_dir()
