"""The console command."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stages import l2a

STAGES = {path.stem for path in Path(l2a.__file__).parent.glob("*.py")} - {"__init__", "command", "l2a"}


def test_it_has_every_stage_once():
    named = [name for names in l2a.PANELS.values() for name in names]
    assert sorted(named) == sorted(STAGES)
    output = CliRunner().invoke(l2a.app, ["--help"], env={"COLUMNS": "200"}).output
    assert all(f" {name} " in output for name in STAGES)


@pytest.mark.parametrize("name", sorted(STAGES))
def test_every_command_lists_its_options(name):
    done = CliRunner().invoke(l2a.app, [name, "--help"])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--bogus"], "l2a: No such option: --bogus"),
        (["distil"], "l2a: No such command 'distil'"),
        (["prepare", "--parms", "x"], "prepare: No such option: --parms"),
        (["prepare", "--params", "absent.yaml"], "prepare: absent.yaml: no such params file"),
    ],
)
def test_usage_errors_are_one_line(words, line):
    done = CliRunner().invoke(l2a.app, words)
    assert done.exit_code in (1, 2)
    assert done.stderr.startswith(line)
    assert len(done.stderr.splitlines()) == 1


def test_it_prints_its_version():
    assert CliRunner().invoke(l2a.app, ["--version"]).output.strip() == version("l2a")


def test_nothing_heavy_is_imported_for_help():
    code = """
import sys
from typer.testing import CliRunner
from stages.l2a import app
assert CliRunner().invoke(app, ["--help"]).exit_code == 0
assert not {"torch", "pandas", "transformers", "pyarrow"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
