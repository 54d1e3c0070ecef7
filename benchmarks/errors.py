"""Errors of the benchmarks' commands: one line on standard error."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import InputError


@contextmanager
def exit_on_input_error() -> Iterator[None]:
    """Turn InputError into one line on standard error and exit code 1."""
    try:
        yield
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
