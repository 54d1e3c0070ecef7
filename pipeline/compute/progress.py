"""A progress bar with a rate and the time left, silent where nobody watches."""

import sys
from collections.abc import Collection
from typing import TypeVar

from tqdm import tqdm

from pipeline.storage.atomic import is_main_process

T = TypeVar("T")


def track(items: Collection[T], what: str, *, unit: str = "batch", done: int = 0) -> "tqdm[T]":
    """Iterate over `items` behind a progress bar on standard error, if that is a terminal.

    Args:
        done: how many went before these.
    """
    quiet = not sys.stderr.isatty() or not is_main_process()
    total = done + len(items)
    return tqdm(items, what, total, initial=done, unit=unit, disable=quiet, leave=False, mininterval=0.5)
