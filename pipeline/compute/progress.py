"""A progress bar with a rate and the remaining time, shown only on a terminal."""

import logging
import sys
from collections.abc import Collection
from typing import TypeVar

from tqdm import tqdm

from pipeline.storage.atomic import is_main_process

logger = logging.getLogger(__name__)
T = TypeVar("T")


def track(items: Collection[T], description: str, *, unit: str = "batch", done: int = 0) -> "tqdm[T]":
    """Iterate over `items` with a progress bar on standard error, if that is a terminal and this is the main process.

    There is none if warnings are not logged either, as with `-q`.

    Args:
        done: items processed before these, for the total.
    """
    quiet = not sys.stderr.isatty() or not is_main_process() or not logger.isEnabledFor(logging.WARNING)
    total = done + len(items)
    return tqdm(items, description, total, initial=done, unit=unit, disable=quiet, leave=False, mininterval=0.5)
