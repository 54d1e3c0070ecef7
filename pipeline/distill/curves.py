"""The curves of a distillation: dvclive's files at its end and, if asked for, TensorBoard's while it runs."""

import importlib.util
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from dvclive import Live

from pipeline.distill.state import Log
from pipeline.errors import InputError
from pipeline.storage.atomic import is_main_process, publish_folder

logger = logging.getLogger(__name__)
TENSORBOARD = "L2A_TENSORBOARD"
"""Environment variable that names a folder for TensorBoard; no parameter, because it changes no result."""
PLOTTED = {
    "loss/attention", "loss/hidden", "loss/dark", "validation/metric", "reward",
    "kept/source", "kept/target", "kept/unlabelled",
}  # fmt: skip
"""The curves that dvc.yaml plots."""


@contextmanager
def publish_curves(folder: Path) -> Iterator[Log]:
    """Yield a function that logs a step's metrics by name; at the end the curves are published in `folder`.

    If the run fails, the earlier curves stay in `folder`, and TensorBoard keeps the new ones up to the failure.
    Raises InputError if TensorBoard is asked for and not installed.
    """
    tensorboard_folder = _tensorboard_folder()
    logged: list[tuple[int, dict[str, float]]] = []
    with _tensorboard(tensorboard_folder) if tensorboard_folder else nullcontext() as write:

        def log(step: int, metrics: dict[str, float]) -> None:
            logged.append((step, metrics))
            if write:
                write(step, metrics)

        yield log
    names = {name for _, metrics in logged for name in metrics}
    with (
        publish_folder(folder) as temporary,
        Live(str(temporary), resume=False, report=None, save_dvc_exp=False, dvcyaml=None) as live,
    ):
        for step, metrics in logged:
            live.step = step
            for name, value in metrics.items():
                live.log_metric(name, value)
        # dvc plots fails if one of its curves is missing: those of objectives that are off are one point, at 0.
        for name in sorted(PLOTTED - names):
            live.log_metric(name, 0.0)


def _tensorboard_folder() -> Path | None:
    """Path of a new folder for TensorBoard; None if it is not asked for."""
    parent = os.environ.get(TENSORBOARD)
    if not parent or not is_main_process():
        return None
    if importlib.util.find_spec("tensorboard") is None:
        raise InputError(f"{TENSORBOARD}: TensorBoard is not installed; accepted: pip install -e '.[tensorboard]'")
    root = Path(parent)
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{TENSORBOARD}: {root} cannot be written: {error.strerror}") from error
    # One folder a process: a run that continues after a kill logs again what the killed one had logged.
    return root / f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_{os.getpid()}"


@contextmanager
def _tensorboard(folder: Path) -> Iterator[Log]:
    """Write for TensorBoard as long as that works; a full disk there must not end the run."""
    from torch.utils.tensorboard import SummaryWriter

    writers: list[SummaryWriter] = []
    writable = True

    def write(step: int, metrics: dict[str, float]) -> None:
        nonlocal writable
        try:
            if writable and not writers:
                writers.append(SummaryWriter(str(folder), flush_secs=10))
            for name, value in metrics.items() if writable else ():
                writers[0].add_scalar(name, value, step)
        except OSError as error:
            logger.warning(
                "%s: cannot be written (%s); continuing without TensorBoard", folder, error.strerror or error
            )
            writable = False

    yield write
    for writer in writers:
        with suppress(OSError):
            writer.close()
