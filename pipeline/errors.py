"""The one exception a user is meant to read."""

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(Exception):
    """Something the user gave cannot be used: one line that names the place, what was found, what is accepted."""


def nearest(name: str, accepted: Iterable[str]) -> str:
    """Return `; nearest: X` for the accepted name closest to `name`, or an empty string if none is close."""
    matches = get_close_matches(name, list(accepted), n=1)
    return f"; nearest: {matches[0]}" if matches else ""
