"""Sampling neighbours with Ray on two workers of one thread each, beside one process of one thread and of two.

    python -m benchmarks.speed.engine --rounds 1

The whole augment stage is timed, including the start of Python and Ray, on neighbours of the default run's target
texts, with an empty work cache each time. With the same number of threads all must write the same bytes.
"""

import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.errors import exit_on_input_error
from benchmarks.speed.default_run import ROOT, output
from benchmarks.speed.measure import ROUNDS, Figure, publish, ratio
from benchmarks.speed.processes import run
from pipeline.data.texts import read_texts
from pipeline.errors import InputError
from pipeline.params.yaml12 import read_yaml, to_yaml
from pipeline.storage.fingerprint import folder_hash

CONTESTANTS = {"ray": ("ray", 1), "threads": ("local", 2), "one": ("local", 1)}
"""Engine and threads of each process; the first finds the files that all read not yet in the system's cache."""


def main(
    neighbours: Annotated[int, typer.Option(help="How many to draw, in full samples of the target's texts.")] = 60_000,
    rounds: Annotated[int, typer.Option(help="How often; a figure is the median.")] = ROUNDS,
) -> None:
    """Measure the augment stage."""
    output("models/generator")
    seconds: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    written: dict[str, set[str]] = {name: set() for name in CONTESTANTS}
    with tempfile.TemporaryDirectory() as scratch:
        params = read_yaml(ROOT / "params.yaml")
        params["augment"]["samples"] |= {
            "source": 0,
            "target": neighbours // len(read_texts(output("data/prepared") / "train.parquet")),
        }
        for _ in range(rounds):
            for name, (engine, threads) in CONTESTANTS.items():
                (Path(scratch) / "params.yaml").write_text(to_yaml(params | {"engine": engine}), encoding="utf-8")
                seconds[name].append(augment(Path(scratch), threads))
                written[name].add(folder_hash(Path(scratch) / "augmented", "*.parquet"))
    publish(
        "engine",
        [
            Figure("speed-up by Ray", ratio(seconds, "one", "ray"), "times", 1.8),
            Figure("speed-up by two threads", ratio(seconds, "one", "threads"), "times"),
            Figure("one process of one thread", statistics.median(seconds["one"]), "s"),
            Figure("one process of two threads", statistics.median(seconds["threads"]), "s"),
            Figure(f"Ray, {os.cpu_count()} workers of one thread", statistics.median(seconds["ray"]), "s"),
        ],
    )
    if written["one"] != written["ray"]:
        raise InputError("benchmarks.speed.engine: neighbours differ between one process and several")


def augment(folder: Path, threads: int) -> float:
    """Run the stage with a folder's params and an empty work cache; returns the seconds that it took."""
    shutil.rmtree(folder / "cache", ignore_errors=True)
    environment = {"XDG_CACHE_HOME": str(folder / "cache"), "OMP_NUM_THREADS": str(threads)}
    options = ("--params", str(folder / "params.yaml"), "--out", str(folder / "augmented"))
    start = time.perf_counter()
    run(sys.executable, "-m", "stages.augment", *options, environment=environment)
    return time.perf_counter() - start


if __name__ == "__main__":
    with exit_on_input_error():
        typer.run(main)
