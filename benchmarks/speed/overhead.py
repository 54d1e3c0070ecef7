"""Overhead without any work to do: dvc repro, every stage's --help, and imports.

python -m benchmarks.speed.overhead
"""

import statistics
import sys
from functools import partial

from benchmarks.errors import exit_on_input_error
from benchmarks.speed.default_run import ROOT
from benchmarks.speed.measure import Figure, publish, side_by_side, timed
from benchmarks.speed.processes import run
from pipeline.errors import InputError


def main() -> None:
    """Measure commands from start to end, each in a process of its own."""
    python = sys.executable
    stages = sorted(file.stem for file in (ROOT / "stages").glob("[!_]*.py") if file.stem not in ("command", "rounds"))
    if run(python, "-m", "dvc", "status", "--quiet", check=False).exit_code:
        raise InputError("dvc status: not up to date; run dvc repro first")
    commands = {
        "dvc repro with nothing to do": [python, "-m", "dvc", "repro"],
        "python alone": [python, "-c", ""],
        "import the params": [python, "-c", "import pipeline.params.schema"],
        "import torch": [python, "-c", "import torch"],
        "import the distillation loop": [python, "-c", "import pipeline.distill.loop"],
        **{f"{stage} --help": [python, "-m", f"stages.{stage}", "--help"] for stage in stages},
    }
    seconds = side_by_side({name: timed(partial(run, *command)) for name, command in commands.items()})
    figures = [Figure(name, statistics.median(times), "s") for name, times in seconds.items()]
    slowest = max((figure for figure in figures if figure.name.endswith("--help")), key=lambda figure: figure.value)
    nothing = figures[0]
    publish(
        "overhead",
        [
            Figure(nothing.name, nothing.value, "s", 2, at_most=True),
            Figure(f"slowest help: {slowest.name}", slowest.value, "s", 1, at_most=True),
            *figures[1:],
        ],
    )


if __name__ == "__main__":
    with exit_on_input_error():
        main()
