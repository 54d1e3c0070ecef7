"""Commands in processes of their own: their time and peak memory."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.speed.default_run import ROOT
from pipeline.errors import InputError

PEAK_MEMORY = Path(__file__).with_name("peak_memory.py")


@dataclass(frozen=True)
class Cost:
    """Seconds from start to end, peak memory in bytes, and exit code of a process."""

    seconds: float
    peak: int
    exit_code: int


def run(
    *command: str, environment: Mapping[str, str] | None = None, check: bool = True, folder: Path | None = None
) -> Cost:
    """Run a command quietly, in the project's folder by default. Raises InputError if it fails and `check` is set."""
    with tempfile.TemporaryDirectory() as scratch:
        measured = Path(scratch) / "measured"
        arguments = [sys.executable, "-I", "-S", str(PEAK_MEMORY), str(measured), *command]
        start = time.perf_counter()
        process = subprocess.run(
            arguments,
            cwd=folder or ROOT,
            capture_output=True,
            text=True,
            env={**os.environ, **(environment or {})},
            check=False,
        )
        seconds = time.perf_counter() - start
        exit_code, kilobytes = map(int, measured.read_text(encoding="ascii").split())
    if exit_code and check:
        last = (process.stderr or process.stdout).strip().splitlines()[-1:]
        raise InputError(f"{' '.join(command)}: exit code {exit_code}: {' '.join(last)}")
    return Cost(seconds, kilobytes * 1024, exit_code)


def checkouts(against: Path, command: str = "python") -> dict[str, Path]:
    """The folders of this build and of another. Raises InputError if the other's environment lacks a command."""
    if not (against / ".venv/bin" / command).is_file():
        raise InputError(f"--against: no such file: {against}/.venv/bin/{command}; accepted: a checkout with its .venv")
    return {"ours": ROOT, "other": against.absolute()}


def l2a(checkout: Path, *words: str, peaks: list[int]) -> Callable[[], float]:
    """A contestant: the `l2a` of a checkout, run in its folder; its peak memory is added to `peaks`."""
    command = checkout / ".venv" / "bin" / "l2a"

    def contestant() -> float:
        cost = run(str(command), *words, environment={"PYTHONPATH": str(checkout)}, folder=checkout)
        peaks.append(cost.peak)
        return cost.seconds

    return contestant
