"""How values of a user's file look in an error: on one line, quoted, never longer than a glance."""

from collections.abc import Iterable

WIDTH = 60
LISTED = 10


def shown(value: str) -> str:
    """A value in quotes, its white space folded and its middle cut if it is longer than WIDTH characters."""
    return repr(_cut(value))


def listed(values: Iterable[str]) -> str:
    """Values separated by commas, each cut, and a count in place of what is beyond LISTED."""
    names = list(values)
    more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    return ", ".join(_cut(name) for name in names[:LISTED]) + more


def _cut(value: str) -> str:
    words = " ".join(value[: 4 * WIDTH].split()) if len(value) > 4 * WIDTH else " ".join(value.split())
    return words if len(words) <= WIDTH else f"{words[: WIDTH - 3]}..."
