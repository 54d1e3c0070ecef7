"""The stages of dvc.yaml: each a thin Typer command, `python -m stages.NAME`."""

import gc
import os
import signal
import sys
from types import FrameType


def stop(number: int, _: FrameType | None) -> None:
    """End the process while modules are imported, before any work, with the line that a stopped stage prints."""
    names = [word.rsplit(".", 1)[-1] for word in sys.orig_argv if word.startswith("stages.")] or ["l2a"]
    verb = "interrupted" if number == signal.SIGINT else "terminated"
    os.write(2, f"{names[0]}: {verb}; nothing half-written is left\n".encode())
    os._exit(128 + number)


# Only in a process that was started as a stage (`python -m` is still looking for the module) or as the console command.
if sys.argv[0] == "-m" or os.path.basename(sys.argv[0]) == "l2a":  # noqa: PTH119
    # Libraries keep what they make when they are imported: to look for garbage there every 700 objects, as Python does,
    # takes a seventh of the time of the imports.
    gc.set_threshold(50_000)
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        # A signal that the shell has set to be ignored stays ignored.
        if signal.getsignal(signal_number) != signal.SIG_IGN:
            signal.signal(signal_number, stop)
