"""How the benchmarks' commands fail: in one line."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import InputError


@contextmanager
def one_line() -> Iterator[None]:
    """Make of InputError one line on standard error and exit code 1."""
    try:
        yield
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
