"""The stages of dvc.yaml: each a thin Typer command, `python -m stages.NAME`."""

import os
import signal
import sys
from types import FrameType


def stop(number: int, _: FrameType | None) -> None:
    """End while modules are imported, before any work, with the line that a stage ends with."""
    words = [word.rsplit(".", 1)[-1] for word in sys.orig_argv if word.startswith("stages.")] or ["l2a"]
    said = "interrupted" if number == signal.SIGINT else "terminated"
    os.write(2, f"{words[0]}: {said}; nothing half-written is left\n".encode())
    os._exit(128 + number)


# Only of a process that was started as a stage: `python -m` is still looking for it, or it is the console command.
if sys.argv[0] == "-m" or os.path.basename(sys.argv[0]) == "l2a":  # noqa: PTH119
    for one in (signal.SIGINT, signal.SIGTERM):
        # What the shell has it ignore stays ignored.
        if signal.getsignal(one) != signal.SIG_IGN:
            signal.signal(one, stop)
