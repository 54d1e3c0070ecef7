"""Runs a stage and writes down what it works on, for tests that kill it: `python counted.py JOURNAL -m stages.X …`.

A line for each training step, each checkpoint and each shard begun, in a file for each process.
"""

import os
import runpy
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from pipeline.augment import augment as augmented
from pipeline.distill import cache_teacher
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.optimizer import Training


def main() -> None:
    """Count, and do what the command line after the journal's folder says."""
    journal, _, module, *rest = sys.argv[1:]
    stage = f"{module.removeprefix('stages.')}{'@2' if '--round' in rest else ''}"
    file = os.open(Path(journal) / f"{stage}-{os.getpid()}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def counted(work: Callable[..., Any], before: str = "", after: str = "") -> Callable[..., Any]:
        @wraps(work)
        def run(*given: Any) -> Any:
            if before:
                os.write(file, f"{before}\n".encode())
            done = work(*given)
            if after:
                os.write(file, f"{after}\n".encode())
            return done

        return run

    Training.step = counted(Training.step, after="step")  # type: ignore[method-assign]
    Checkpoint.save = counted(Checkpoint.save, after="saved")  # type: ignore[method-assign]
    augmented.draw = counted(augmented.draw, before="shard")
    cache_teacher.cache_shard = counted(cache_teacher.cache_shard, before="shard")
    sys.argv = [module, *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
