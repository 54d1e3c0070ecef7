"""What every stage does with what goes wrong in it."""

import os
import signal
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from stages.command import stage


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
