"""Lines of JSON on standard output, for other programs."""

import json
import math
import sys
from typing import Any


def print_json(row: dict[str, Any]) -> None:
    """Print one line of JSON."""
    sys.stdout.write(as_json(row))


def as_json(row: dict[str, Any]) -> str:
    """A line of JSON: ASCII, with null for NaN and infinity, and dates and other values as text."""
    try:
        return json.dumps(row, allow_nan=False, default=str) + "\n"
    except ValueError:
        return json.dumps(_null_if_not_finite(row), allow_nan=False, default=str) + "\n"


def _null_if_not_finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _null_if_not_finite(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_null_if_not_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
