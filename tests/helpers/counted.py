"""Runs a stage and logs its work, for tests that kill it: `python counted.py JOURNAL -m stages.X …`.

One line for each training step, checkpoint and started shard, in one file per process in the folder JOURNAL.
"""

import os
import runpy
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from pipeline.augment import augment
from pipeline.distill import cache_teacher
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.optimizer import TrainState


def main() -> None:
    """Run the stage with logging functions in place of those that do the work."""
    journal, _, module, *rest = sys.argv[1:]
    round_ = f"@{rest[rest.index('--round') + 1]}" if "--round" in rest else ""
    stage = f"{module.removeprefix('stages.')}{round_}"
    file = os.open(Path(journal) / f"{stage}-{os.getpid()}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def logged(work: Callable[..., Any], before: str = "", after: str = "") -> Callable[..., Any]:
        @wraps(work)
        def run(*args: Any) -> Any:
            if before:
                os.write(file, f"{before}\n".encode())
            result = work(*args)
            if after:
                os.write(file, f"{after}\n".encode())
            return result

        return run

    TrainState.step = logged(TrainState.step, after="step")  # type: ignore[method-assign]
    Checkpoint.save = logged(Checkpoint.save, after="saved")  # type: ignore[method-assign]
    augment.draw_shard = logged(augment.draw_shard, before="shard")
    cache_teacher.cache_shard = logged(cache_teacher.cache_shard, before="shard")
    sys.argv = [module, *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
