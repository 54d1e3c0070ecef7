"""What every stage does with what goes wrong in it."""

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
