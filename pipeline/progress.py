"""A progress bar with a rate and the time left, silent where nobody watches."""

import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def track(items: Iterable[T], what: str, *, unit: str = "batch") -> "tqdm[T]":
    """Iterate over `items` behind a progress bar on standard error, if that is a terminal."""
    return tqdm(items, desc=what, unit=unit, disable=not sys.stderr.isatty(), leave=False, mininterval=0.5)
