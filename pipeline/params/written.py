"""Labels and filters of a table, as the user wrote them: `010` in params.yaml is the text `010` of a table's cell."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

Names = Annotated[dict[str, str], BeforeValidator(lambda names: _as_text(names))]
"""A new name for each old one."""
Cell = str | int | float | bool
"""The value of a cell of a table."""
Filters = Annotated[
    dict[str, Cell | Annotated[list[Cell], Field(min_length=1)]], BeforeValidator(lambda filters: _as_written(filters))
]
"""The accepted values by column."""


def _as_text(names: Any) -> Any:
    """Labels are texts: a number, as in `{0: negative}`, is the text it is written as."""
    if not isinstance(names, dict):
        return names
    for key, value in names.items():
        for name in (key, value):
            if name is None or isinstance(name, bool):
                text = ": ".join("null" if name is None else str(name) for name in (key, value))
                raise ValueError(f"got {text}; accepted: a name, in quotes if need be")
    return {_text(key): _text(value) for key, value in names.items()}


def _as_written(filters: Any) -> Any:
    """A number is accepted as its value and as it is written: `1.0` is `1.0` in a CSV file and 1 in a Parquet file."""
    if not isinstance(filters, dict):
        return filters
    return {column: _with_texts(accepted) for column, accepted in filters.items()}


def _with_texts(accepted: Any) -> Any:
    options = accepted if isinstance(accepted, list) else [accepted]
    numbers = [option for option in options if hasattr(option, "text")]
    # A cell 1.5 is compared as `1.5`, but a cell 1.0 as `1`.
    texts = [number.text for number in numbers if number.text != str(number) or number % 1 == 0]
    others = [text for text in dict.fromkeys(texts) if text not in options]
    return [*options, *others] if others else accepted


def _text(value: Any) -> str:
    """The text that a number has in the file, if the reader kept it."""
    return getattr(value, "text", str(value))
