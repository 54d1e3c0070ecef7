"""Sampling neighbours with Ray on two workers of one thread each, beside one process of one thread and of two.

    python -m benchmarks.speed.engine

The whole augment stage is timed, including the start of Python and Ray, on the neighbours of the default run's target
texts, with an empty work cache each time.
"""

import os
import shutil
import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.errors import exit_on_input_error
from benchmarks.speed.default_run import ROOT, output
from benchmarks.speed.measure import Figure, publish, ratio, side_by_side, timed
from benchmarks.speed.processes import run
from pipeline.params.yaml12 import read_yaml, to_yaml


def main() -> None:
    """Measure the augment stage."""
    output("models/generator")
    with tempfile.TemporaryDirectory() as scratch:
        params = read_yaml(ROOT / "params.yaml")
        params["augment"]["samples"]["source"] = 0
        for engine in ("local", "ray"):
            text = to_yaml(params | {"engine": engine})
            (Path(scratch) / f"{engine}.yaml").write_text(text, encoding="utf-8")

        def stage(engine: str, threads: int) -> None:
            shutil.rmtree(Path(scratch) / "cache", ignore_errors=True)
            out = str(Path(scratch) / "augmented")
            run(
                sys.executable,
                "-m",
                "stages.augment",
                "--params",
                str(Path(scratch) / f"{engine}.yaml"),
                "--out",
                out,
                environment={"XDG_CACHE_HOME": str(Path(scratch) / "cache"), "OMP_NUM_THREADS": str(threads)},
            )

        seconds = side_by_side(
            {
                "one": timed(partial(stage, "local", 1)),
                "threads": timed(partial(stage, "local", 2)),
                "ray": timed(partial(stage, "ray", 1)),
            }
        )
    publish(
        "engine",
        [
            Figure("one process of one thread", statistics.median(seconds["one"]), "s"),
            Figure("one process of two threads", statistics.median(seconds["threads"]), "s"),
            Figure(f"Ray, {os.cpu_count()} workers of one thread", statistics.median(seconds["ray"]), "s"),
            Figure("speed-up by two threads", ratio(seconds, "one", "threads"), "times"),
            Figure("speed-up by Ray", ratio(seconds, "one", "ray"), "times"),
        ],
    )


if __name__ == "__main__":
    with exit_on_input_error():
        main()
