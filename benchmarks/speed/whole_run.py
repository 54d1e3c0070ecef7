"""The default run beside that of another build: seconds of each stage, from its start to its end.

    python -m benchmarks.speed.whole_run --against PATH --rounds 1

Each stage is a process of its own, as DVC starts it, with the `params.yaml` and the code of its checkout and an empty
work cache, and in the number format that this machine is fast with. The two builds take turns stage by stage. PATH has
a `.venv` of its own. A round takes half an hour.
"""

import json
import os
import statistics
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.errors import exit_on_input_error
from benchmarks.speed.measure import Figure, Seconds, publish, ratio
from benchmarks.speed.processes import checkouts, run
from benchmarks.speed.startup import PROCESSES, command

ALL = "the whole run"


def main(
    against: Annotated[Path, typer.Option(help="Folder of another checkout.")],
    rounds: Annotated[int, typer.Option(help="Runs of each build.", min=1)] = 1,
) -> None:
    """Run the default with both builds."""
    builds = checkouts(against)
    seconds: dict[str, dict[str, list[float]]] = {build: {name: [] for name in (*PROCESSES, ALL)} for build in builds}
    with tempfile.TemporaryDirectory() as scratch:
        for turn in range(rounds):
            folders = {build: Path(scratch, str(turn), build) for build in builds}
            for build, checkout in builds.items():
                (folders[build] / "data").mkdir(parents=True)
                (folders[build] / "data/embedded").symlink_to(checkout / "data/embedded")
                (folders[build] / "params.yaml").symlink_to(checkout / "params.yaml")
            for name in PROCESSES:
                for build, checkout in builds.items():
                    seconds[build][name].append(stage(name, checkout, folders[build]))
            for measured in seconds.values():
                measured[ALL].append(sum(times * measured[name][turn] for name, times in PROCESSES.items()))
        scores = {build: accuracy(folder) for build, folder in folders.items()}
    publish("whole_run", figures(seconds, scores))


def stage(name: str, checkout: Path, folder: Path) -> float:
    """Run a stage of a checkout in `folder`. Raises InputError if it fails."""
    python = str(checkout / ".venv/bin/python")
    environment = {"PYTHONPATH": str(checkout), "XDG_CACHE_HOME": str(folder / "cache")}
    return run(python, "-P", *command(name), environment=environment, folder=folder).seconds


def accuracy(folder: Path) -> float:
    """The student's accuracy on the test texts."""
    measured = json.loads((folder / "metrics/evaluation.json").read_text(encoding="utf-8"))
    return float(measured["student"]["accuracy"])


def figures(seconds: dict[str, dict[str, list[float]]], scores: dict[str, float]) -> list[Figure]:
    """The share of the other build's time, and a row for each stage."""

    def of(name: str) -> Seconds:
        return {build: measured[name] for build, measured in seconds.items()}

    rows = [
        Figure(
            name,
            statistics.median(seconds["ours"][name]),
            f"s; the other build {statistics.median(seconds['other'][name]):.3g} s",
        )
        for name in (ALL, *PROCESSES)
    ]
    return [
        Figure("share of the other build's time", 100 * ratio(of(ALL), "ours", "other"), "%", 75, at_most=True),
        Figure("distill: faster than the other build", ratio(of("distill"), "other", "ours"), "times", 1.4),
        Figure("accuracy of the student", 100 * scores["ours"], f"%; the other build {100 * scores['other']:.3g} %"),
        *rows,
    ]


if __name__ == "__main__":
    # In the number format that a user gets, unlike other benchmarks.
    os.environ["L2A_PRECISION"] = ""
    with exit_on_input_error():
        typer.run(main)
