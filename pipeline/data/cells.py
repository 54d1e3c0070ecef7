"""The cells of a table as text, and those that mean no value."""

import math
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

MISSING = ("nan", "null", "<na>", "n/a", "#n/a")
"""How other programs write a missing value, in lower case."""
NO_LABEL = ("-", "--", "?", "NA")
"""How people, and R, write that there is no label where others are names or numbers: beside a `+`, a `-` is a class."""


def as_text(value: Any) -> str:
    """A cell as text: a missing value is empty, 1.0 is `1`, and so is a decimal 1.00."""
    if isinstance(value, str):
        return value
    # pandas' missing values go by name: importing pandas takes half a second, and a first answer does not need it.
    if (
        value is None
        or type(value).__name__ in ("NAType", "NaTType")
        or (isinstance(value, float) and math.isnan(value))
    ):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, Decimal):
        return f"{value.normalize():f}" if value.is_finite() else "" if value.is_nan() else str(value)
    return str(value)


def missing_values(labels: Iterable[str]) -> set[str]:
    """Those of a column's values that mean no value; a sign may only if two others remain, none of which is a plus."""
    present = set(labels)
    missing = {label for label in present if not label or label.lower() in MISSING}
    signs = present & set(NO_LABEL)
    others = present - missing - signs
    return missing | signs if len(others) > 1 and "+" not in others else missing
