"""The doctor stage's command line."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from pipeline.setup import doctor
from pipeline.setup.environment import Finding
from stages.doctor import app


@pytest.fixture
def run(monkeypatch):
    """Run it with these findings."""

    def invoke(*findings):
        monkeypatch.setattr(doctor, "examine", lambda _: iter(findings))
        return CliRunner().invoke(app, [])

    return invoke


def test_each_finding_is_a_line(run):
    result = run(Finding("ok", "git", "clean"), Finding("look", "dvc", "no remote\nat all", "dvc remote add"))
    assert result.exit_code == 0
    *lines, last = result.stdout.splitlines()
    assert lines == ["ok     git         clean", "look   dvc         no remote at all; dvc remote add"]
    assert last.startswith("doctor: nothing would stop the run, 1 of 2 to look at, ")


def test_the_exit_code_is_1_only_if_something_would_stop_it(run):
    result = run(Finding("look", "git", "dirty"), Finding("wrong", "disk", "full", "make room"))
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "wrong  disk        full; make room"
    assert result.stderr == "doctor: 1 of 2 checks found something that would stop the run\n"


def test_help_does_not_import_torch():
    code = """
import sys
from typer.testing import CliRunner
from stages.doctor import app
assert CliRunner().invoke(app, ["--help"]).exit_code == 0
assert "torch" not in sys.modules and "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
