"""The one exception a user is meant to read."""

import errno
from collections.abc import Iterable
from difflib import get_close_matches


class InputError(Exception):
    """Something the user gave cannot be used: one line that names the place, what was found, what is accepted."""


def out_of_memory(error: Exception) -> bool:
    """Torch has an error of its own for a GPU, and for other memory the words of its allocator."""
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return (
        isinstance(error, MemoryError)
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        or (isinstance(error, RuntimeError) and any(part in str(error) for part in words))
    )


def one_line(error: BaseException) -> str:
    """An error's message on one line; of a long one the first and the last 160 characters, where its cause is named."""
    line = " ".join(str(error).split())
    return line if len(line) <= 330 else f"{line[:160]} … {line[-160:]}"


def nearest(name: str, accepted: Iterable[str]) -> str:
    """Return `; nearest: X` for the accepted name closest to `name`, or an empty string if none is close."""
    matches = get_close_matches(name, list(accepted), n=1)
    return f"; nearest: {matches[0]}" if matches else ""
