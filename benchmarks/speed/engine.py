"""Drawing neighbours by Ray on two workers of one thread each, beside one such process, and one of two threads.

    python -m benchmarks.speed.engine

The whole augment stage is timed, start-up of Python and Ray among it, on the neighbours of the default's target, with
an empty work cache each time.
"""

import os
import shutil
import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path

import yaml

from benchmarks.one_line import one_line
from benchmarks.speed.made import ROOT, made
from benchmarks.speed.measure import Figure, publish, ratio, side_by_side, timed
from benchmarks.speed.processes import run


def main() -> None:
    """Measure the augment stage."""
    made("models/generator")
    with tempfile.TemporaryDirectory() as scratch:
        asked = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        asked["augment"]["samples"]["source"] = 0
        for engine in ("local", "ray"):
            text = yaml.safe_dump(asked | {"engine": engine})
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
            Figure("faster by two threads", ratio(seconds, "one", "threads"), "times"),
            Figure("faster by Ray", ratio(seconds, "one", "ray"), "times"),
        ],
    )


if __name__ == "__main__":
    with one_line():
        main()
