"""Quoting values of a user's file in an error: on one line and short."""

from collections.abc import Iterable

WIDTH = 60
"""Characters of one value."""
LISTED = 10
"""Values of a list."""


def shown(value: str) -> str:
    """A value in quotes, its white space folded, cut to WIDTH characters."""
    return repr(_cut(value))


def listed(values: Iterable[str]) -> str:
    """The first LISTED values, each cut, separated by commas, and a count of the others."""
    names = list(values)
    more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    return ", ".join(_cut(name) for name in names[:LISTED]) + more


def _cut(value: str) -> str:
    words = " ".join(value[: 4 * WIDTH].split())
    return words if len(words) <= WIDTH else f"{words[: WIDTH - 3]}..."
