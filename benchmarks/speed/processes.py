"""Commands in processes of their own: what they take in time, and in memory at their worst."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.speed.made import ROOT
from pipeline.errors import InputError

PEAK = Path(__file__).with_name("peak.py")


@dataclass(frozen=True)
class Cost:
    """Of a process: seconds from start to end, the most bytes it ever held in memory, and its exit code."""

    seconds: float
    peak: int
    code: int


def run(*command: str, environment: Mapping[str, str] | None = None, check: bool = True) -> Cost:
    """Run a command in the project's folder, quietly. Raises InputError if it fails, unless that is no news."""
    with tempfile.TemporaryDirectory() as scratch:
        measured = Path(scratch) / "measured"
        words = [sys.executable, "-I", "-S", str(PEAK), str(measured), *command]
        start = time.perf_counter()
        done = subprocess.run(
            words, cwd=ROOT, capture_output=True, text=True, env={**os.environ, **(environment or {})}, check=False
        )
        seconds = time.perf_counter() - start
        code, kilobytes = map(int, measured.read_text(encoding="ascii").split())
    if code and check:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise InputError(f"{' '.join(command)}: exit code {code}: {' '.join(last)}")
    return Cost(seconds, kilobytes * 1024, code)
