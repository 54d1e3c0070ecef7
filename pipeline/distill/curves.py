"""The curves of a distillation: dvclive's files, and TensorBoard's while it runs for whoever asks for them."""

import importlib.util
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dvclive import Live

from pipeline.distill.loop import Log
from pipeline.errors import InputError
from pipeline.publishing import is_first, publish_folder

TENSORBOARD = "L2A_TENSORBOARD"
"""The variable of the environment that names a folder for TensorBoard: it changes no result, so it is no parameter."""
PLOTTED = {"loss/attention", "loss/hidden", "loss/dark", "validation/metric", "reward", "kept/source", "kept/target"}
"""The curves that dvc.yaml plots."""


@contextmanager
def publish_curves(folder: Path) -> Iterator[Log]:
    """Give what takes a step's number and its figures by name; at the end the curves appear in `folder`.

    A run that fails leaves the curves of the one before as they are; TensorBoard has those of its own up to there.
    Raises InputError if TensorBoard is asked for and not installed.
    """
    watched = _watched()
    writers: list[Log] = []
    with ExitStack() as stack:

        def log(step: int, figures: dict[str, float]) -> None:
            if not writers:
                writers.append(stack.enter_context(_dvclive(folder)))
                if watched is not None:
                    writers.append(stack.enter_context(_tensorboard(watched)))
            for write in writers:
                write(step, figures)

        yield log


@contextmanager
def _dvclive(folder: Path) -> Iterator[Log]:
    seen: set[str] = set()
    with (
        publish_folder(folder) as temporary,
        Live(str(temporary), resume=False, report=None, save_dvc_exp=False, dvcyaml=None) as live,
    ):

        def write(step: int, figures: dict[str, float]) -> None:
            live.step = step
            seen.update(figures)
            for name, value in figures.items():
                live.log_metric(name, value)

        yield write
        # DVC cannot plot the others without the curves of what is switched off: each is one point, at 0.
        for name in sorted(PLOTTED - seen):
            live.log_metric(name, 0.0)


def _watched() -> Path | None:
    """A new folder's path for TensorBoard; None if nobody asks for it."""
    asked = os.environ.get(TENSORBOARD)
    if not asked or not is_first():
        return None
    if importlib.util.find_spec("tensorboard") is None:
        raise InputError(f"{TENSORBOARD}: TensorBoard is not installed; accepted: pip install -e '.[tensorboard]'")
    root = Path(asked)
    root.mkdir(parents=True, exist_ok=True)
    # One a process: what a killed run had logged is logged once more by the one that goes on.
    return root / f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_{os.getpid()}"


@contextmanager
def _tensorboard(folder: Path) -> Iterator[Log]:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:

        def write(step: int, figures: dict[str, float]) -> None:
            for name, value in figures.items():
                writer.add_scalar(name, value, step)

        yield write
