"""Commands in processes of their own: what they take in time, and in memory at their worst."""

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.speed.made import ROOT
from pipeline.errors import InputError


@dataclass(frozen=True)
class Cost:
    """Of a process: seconds from start to end, and the most bytes it ever held in memory."""

    seconds: float
    peak: int


def run(*command: str, environment: Mapping[str, str] | None = None) -> Cost:
    """Run a command in the project's folder, quietly. Raises InputError if it fails."""
    start = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=said, stderr=said, env={**os.environ, **(environment or {})}
        )
        # Unlike getrusage it tells of this child alone.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            last = said.read().decode(errors="replace").strip().splitlines()[-1:]
            raise InputError(f"{' '.join(command)}: exit code {process.returncode}: {' '.join(last)}")
    return Cost(time.perf_counter() - start, usage.ru_maxrss * 1024)
