"""The types of values in params.yaml, with their bounds."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

Domain = Literal["source", "target"]
Engine = Literal["local", "ray"]


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"got {value}; accepted: finite number")
    return value


# Without an upper bound a mistyped number would fill the memory or run for ever without an error.
Count = Annotated[int, Field(ge=0, le=1_000_000, strict=True)]
"""How many; 0 is none."""
Positive = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
"""How many, at least one."""
FewOrZero = Annotated[int, Field(ge=0, le=10_000, strict=True)]
"""How many of something that is costly by the thousand; 0 is none."""
Few = Annotated[int, Field(ge=1, le=10_000, strict=True)]
"""How many of something that is costly by the thousand, at least one: layers, widths, shards."""
RowCount = Annotated[int, Field(ge=1, le=2**31, strict=True)]
"""Number of rows of a table."""
Number = Annotated[float, Field(allow_inf_nan=False), BeforeValidator(_no_boolean)]
"""A finite number."""
Rate = Annotated[Number, Field(gt=0)]
"""A learning rate, above 0."""
Temperature = Annotated[Number, Field(ge=0.001, le=1000)]
"""A divisor of logits or distances."""
Weight = Annotated[Number, Field(ge=0, le=1e6)]
"""A factor of a loss or another term; 0 leaves the term out."""
Name = Annotated[str, Field(min_length=1)]
"""A text that is not empty: an address, a column."""
Share = Annotated[Number, Field(ge=0, le=1)]
"""A fraction, from none (0) to all (1)."""
Probability = Annotated[Number, Field(gt=0, lt=1)]
"""A fraction strictly between 0 and 1."""
Domains = Annotated[list[Domain], AfterValidator(lambda domains: _unique(domains))]
"""Domains in order, each once."""
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


def _unique(domains: list[Domain]) -> list[Domain]:
    if len(set(domains)) < len(domains):
        raise ValueError(f"got {domains}; accepted: each domain once")
    return domains


class Section(BaseModel):
    """A part of params.yaml: unknown keys are errors, values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)
