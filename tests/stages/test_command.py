"""What every stage does with errors, signals and log messages."""

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import stages
from pipeline.errors import InputError
from stages.command import stage
from stages.l2a import app as l2a


@pytest.fixture(autouse=True)
def interruptible():
    """Ctrl-C interrupts, also started processes, even if a shell in the background has set it to be ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("allocate", [lambda: torch.empty(10**15), lambda: bytearray(10**18)])
def test_too_little_memory_is_one_line(allocate):
    def main() -> str:
        return str(len(allocate()))

    result = CliRunner().invoke(stage(main), [])
    assert result.exit_code == 1
    assert result.output == "test_command: not enough memory; accepted: a smaller batch_size, max_length or model\n"


def test_a_bug_is_not_reported_as_a_mistake_of_the_user():
    def main(out: Path = Path("out")) -> str:
        raise RuntimeError(f"{out}: index out of range")

    result = CliRunner().invoke(stage(main), [])
    assert isinstance(result.exception, RuntimeError)


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_signal_is_one_line_that_names_what_is_kept(work_cache, number, code, word):
    def main() -> str:
        os.kill(os.getpid(), number)
        return "nothing, for it was stopped"

    before = signal.getsignal(signal.SIGTERM)
    result = CliRunner().invoke(stage(main), [])
    line = f"test_command: {word}; nothing half-written is left\n"
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", line)
    (work_cache / "test_command" / "0123").mkdir(parents=True)
    result = CliRunner().invoke(stage(main), [])
    assert result.stderr == (
        f"test_command: {word}; finished work is kept in {work_cache}/test_command, "
        "and the same command continues from there\n"
    )
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
@pytest.mark.parametrize("name", ["teacher", "l2a"])
def test_a_signal_while_modules_are_imported_is_one_line(tmp_path, name, number, code, word):
    (tmp_path / "typer.py").write_text(f"import os, time\nos.kill(os.getpid(), {int(number)})\ntime.sleep(20)\n")
    (tmp_path / "l2a").write_text("from stages.l2a import app\n\napp()\n")
    words = [str(tmp_path / "l2a")] if name == "l2a" else ["-m", f"stages.{name}"]
    root = Path(stages.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, *words],
        cwd=root,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{root}"},
        capture_output=True,
        text=True,
    )
    line = f"{name}: {word}; nothing half-written is left\n"
    assert (done.returncode, done.stdout, done.stderr) == (code, "", line)


def test_signals_are_left_alone_where_stages_are_only_imported():
    assert stages.stop not in (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))


def talkative() -> str:
    logger = logging.getLogger("pipeline.somewhere")
    logger.info("3 of 8 shards from the work cache")
    logger.warning("a file is damaged")
    return "done"


@pytest.mark.parametrize(
    ("options", "lines", "summary"),
    [
        ([], ["a file is damaged"], True),
        (["-v"], ["3 of 8 shards from the work cache", "a file is damaged"], True),
        (["--verbose"], ["3 of 8 shards from the work cache", "a file is damaged"], True),
        (["-q"], [], False),
    ],
)
def test_messages_are_lines_on_standard_error(options, lines, summary):
    before = list(logging.getLogger("pipeline").handlers)
    result = CliRunner().invoke(stage(talkative), options)
    assert (result.exit_code, result.stderr.splitlines()) == (0, lines)
    assert result.stdout.startswith("test_command: done, ") if summary else result.stdout == ""
    assert logging.getLogger("pipeline").handlers == before


@pytest.mark.parametrize(("words", "code", "found"), [(["-q", "work_cache"], 0, False), (["work_cache"], 0, True)])
def test_l2a_passes_its_level_to_the_command(work_cache, words, code, found):
    result = CliRunner().invoke(l2a, words)
    assert (result.exit_code, "work_cache: 0.0 MB" in result.stdout) == (code, found)


@pytest.mark.parametrize(
    ("words", "name"), [(["-v", "-q", "work_cache"], "l2a"), (["work_cache", "-qv"], "work_cache")]
)
def test_loud_and_quiet_exclude_each_other(words, name):
    result = CliRunner().invoke(l2a, words)
    assert result.exit_code == 2
    assert result.stderr == f"{name}: --quiet: got --verbose too; accepted: one of the two\n"


def failing() -> str:
    try:
        int("x")
    except ValueError as error:
        raise InputError("alpha: got x; accepted: a number") from error
    return ""


@pytest.mark.parametrize("options", [[], ["-q"]])
def test_debugging_shows_the_cause_after_the_line(monkeypatch, options):
    line = "test_command: alpha: got x; accepted: a number\n"
    monkeypatch.delenv("L2A_DEBUG", raising=False)
    assert CliRunner().invoke(stage(failing), options).stderr == line
    monkeypatch.setenv("L2A_DEBUG", "1")
    result = CliRunner().invoke(stage(failing), options)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"{line}Traceback ")
    assert "ValueError: invalid literal" in result.stderr
