"""`dvc exp run -S` rewrites params.yaml: labels and filters that it rewrites are still those that the user wrote."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.tiny_project import ROOT

LABELS = {"no": "bad", "010": "good", "1e-5": "good", "12:30": "bad"}
PARAMS = """alpha: 1.0   # how far
data:
  target:
    path: t.csv
    rows: 12
    validation: 8
    test: 8
    labels: {'no': bad, '010': good, '1e-5': 'good', 12:30: bad}
    where: {'kind': ['yes', '0o10', null_, '2001-01-01']}
"""


@pytest.fixture
def dvc(tmp_path, monkeypatch):
    """A repository whose one stage is `prepare`: `dvc("exp", "run")`."""
    monkeypatch.chdir(tmp_path)
    variables = {
        # A queued experiment runs the command `dvc`.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT), "DVC_NO_ANALYTICS": "1", "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b",
    }  # fmt: skip

    def run(*words):
        command = words if words[0] == "git" else (sys.executable, "-m", "dvc", *words)
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    kinds = ["yes", "0o10", "null_", "2001-01-01", "other"]
    rows = [f"a short text of the number {row},{list(LABELS)[row % 4]},{kinds[row // 4 % 5]}" for row in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["text,label,kind", *rows]) + "\n")
    (tmp_path / "params.yaml").write_text(PARAMS)
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n  prepare:\n"
        f"    cmd: {sys.executable} -m stages.prepare --out prepared --metrics data.json\n"
        "    params: [alpha, data]\n    deps: [t.csv]\n    outs: [prepared]\n"
        "    metrics: [{data.json: {cache: false}}]\n"
    )
    (tmp_path / ".gitignore").write_text("/prepared\n/cache\n/t.csv\n")
    run("git", "init", "-q")
    run("init", "-q")
    run("repro", "-q")
    (tmp_path / ".gitignore").write_text("/prepared\n/cache\n")
    run("git", "add", "-A")
    run("git", "commit", "-qm", "first")
    return run


@pytest.mark.slow
def test_labels_and_filters_are_the_same_in_experiments(dvc, tmp_path):
    first = json.loads((tmp_path / "data.json").read_text())
    assert first["read"]["target"] == 48
    assert set(first["splits"]["train"]["labels"]) == {"bad", "good"}
    dvc("exp", "run", "-n", "here", "-S", "alpha=0.8")
    text = (tmp_path / "params.yaml").read_text()
    assert "alpha: 0.8" in text
    assert "{no: bad, '010': good, '1e-5': good, 12:30: bad}" in text
    assert json.loads((tmp_path / "data.json").read_text()) == first
    dvc("exp", "run", "--queue", "-n", "queued", "-S", "alpha=0.7")
    dvc("exp", "run", "--run-all")
    shown = json.loads(dvc("exp", "show", "--json"))
    experiments = {
        state["name"]: state["data"]
        for revision in shown
        for experiment in revision["experiments"] or []
        for state in experiment["revs"]
    }
    assert experiments.keys() == {"here", "queued"}
    for experiment in experiments.values():
        metrics = experiment["metrics"]["data.json"]["data"]
        # DVC leaves out lists, and `commits`, whose only value is null.
        assert metrics == {
            key: value for key, value in first.items() if not isinstance(value, list) and key != "commits"
        }
    assert experiments["queued"]["params"]["params.yaml"]["data"]["alpha"] == 0.7
