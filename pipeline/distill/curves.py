"""The curves of a distillation: dvclive's files, and TensorBoard's while it runs for whoever asks for them."""

import importlib.util
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from dvclive import Live

from pipeline.distill.loop import Log
from pipeline.errors import InputError
from pipeline.storage.atomic import is_main_process, publish_folder

logger = logging.getLogger(__name__)
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
    logged: list[tuple[int, dict[str, float]]] = []
    with _tensorboard(watched) if watched else nullcontext() as watch:

        def log(step: int, figures: dict[str, float]) -> None:
            logged.append((step, figures))
            if watch:
                watch(step, figures)

        yield log
    seen = {name for _, figures in logged for name in figures}
    with (
        publish_folder(folder) as temporary,
        Live(str(temporary), resume=False, report=None, save_dvc_exp=False, dvcyaml=None) as live,
    ):
        for step, figures in logged:
            live.step = step
            for name, value in figures.items():
                live.log_metric(name, value)
        # DVC cannot plot the others without the curves of what is switched off: each is one point, at 0.
        for name in sorted(PLOTTED - seen):
            live.log_metric(name, 0.0)


def _watched() -> Path | None:
    """A new folder's path for TensorBoard; None if nobody asks for it."""
    asked = os.environ.get(TENSORBOARD)
    if not asked or not is_main_process():
        return None
    if importlib.util.find_spec("tensorboard") is None:
        raise InputError(f"{TENSORBOARD}: TensorBoard is not installed; accepted: pip install -e '.[tensorboard]'")
    root = Path(asked)
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{TENSORBOARD}: {root} cannot be written: {error.strerror}") from None
    # One a process: what a killed run had logged is logged once more by the one that goes on.
    return root / f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_{os.getpid()}"


@contextmanager
def _tensorboard(folder: Path) -> Iterator[Log]:
    """Write for TensorBoard as long as that works: nobody's run ends because nobody can watch it."""
    from torch.utils.tensorboard import SummaryWriter

    writers: list[SummaryWriter] = []
    works = True

    def write(step: int, figures: dict[str, float]) -> None:
        nonlocal works
        try:
            if works and not writers:
                writers.append(SummaryWriter(str(folder), flush_secs=10))
            for name, value in figures.items() if works else ():
                writers[0].add_scalar(name, value, step)
        except OSError as error:
            logger.warning("%s: cannot be written (%s); going on without", folder, error.strerror or error)
            works = False

    yield write
    for writer in writers:
        with suppress(OSError):
            writer.close()
