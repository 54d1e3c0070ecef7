"""What every stage does with what goes wrong in it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import stages
from stages.command import stage


@pytest.fixture(autouse=True)
def heard():
    """Ctrl-C is heard, also by what is started, where a shell in the background has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("nothing_left", [lambda: torch.empty(10**15), lambda: bytearray(10**18)])
def test_too_little_memory_is_one_line(nothing_left):
    def main() -> str:
        return str(len(nothing_left()))

    result = CliRunner().invoke(stage(main), [])
    assert result.exit_code == 1
    assert result.output == "test_command: not enough memory; accepted: a smaller batch_size, max_length or model\n"


def test_a_mistake_of_ours_is_not_taken_for_one_of_the_user_s():
    def main(out: Path = Path("out")) -> str:
        raise RuntimeError(f"{out}: index out of range")

    result = CliRunner().invoke(stage(main), [])
    assert isinstance(result.exception, RuntimeError)


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_signal_is_one_line_that_tells_what_is_kept(work_cache, number, code, word):
    def main() -> str:
        os.kill(os.getpid(), number)
        return "nothing, for it was stopped"

    before = signal.getsignal(signal.SIGTERM)
    result = CliRunner().invoke(stage(main), [])
    said = f"test_command: {word}; nothing half-written is left\n"
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", said)
    (work_cache / "test_command" / "0123").mkdir(parents=True)
    result = CliRunner().invoke(stage(main), [])
    assert result.stderr == (
        f"test_command: {word}; what was finished stands in {work_cache}/test_command, "
        "and the same command goes on from there\n"
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
    said = f"{name}: {word}; nothing half-written is left\n"
    assert (done.returncode, done.stdout, done.stderr) == (code, "", said)


def test_signals_are_left_alone_where_stages_are_only_imported():
    assert stages.stop not in (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
