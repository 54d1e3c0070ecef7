"""The types of values in params.yaml, with their bounds."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

Domain = Literal["source", "target", "unlabelled"]
"""Where a text is from; the unlabelled texts are the target's, too."""
LabelledDomain = Literal["source", "target"]
Engine = Literal["local", "ray"]
ScoreName = Literal["auto", "accuracy", "f1", "mcc"]
Pick = Literal["first", "spaced", "ends"]
"""Which layers of a model: the first ones, or evenly spaced ones with the last, or with the first and the last."""


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
Pattern = Annotated[str, AfterValidator(lambda pattern: _compiles(pattern))]
"""A regular expression, as Python's `re` reads it."""
Share = Annotated[Number, Field(ge=0, le=1)]
"""A fraction, from none (0) to all (1)."""
Probability = Annotated[Number, Field(gt=0, lt=1)]
"""A fraction strictly between 0 and 1."""
Domains = Annotated[list[Domain], AfterValidator(lambda domains: _unique(domains))]
"""Domains in order, each once."""
LabelledDomains = Annotated[list[LabelledDomain], AfterValidator(lambda domains: _unique(domains))]
"""Domains whose texts have labels, in order, each once."""
Epochs = Annotated[
    float,
    Field(ge=0, le=10_000, strict=True, allow_inf_nan=False),
    AfterValidator(lambda epochs: _whole_as_int(epochs)),
    # As it is: a float's would write the int 2 as 2.0.
    PlainSerializer(lambda epochs: epochs),
]
"""Epochs, also a fraction of one; 0 is none. What is whole becomes an int, so that 2 and 2.0 are the same params."""


def _whole_as_int(value: float) -> float:
    return int(value) if value == int(value) else value


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"got {pattern!r} ({error}); accepted: a regular expression") from error
    return pattern


def _unique(domains: list[Any]) -> list[Any]:
    if len(set(domains)) < len(domains):
        raise ValueError(f"got {domains}; accepted: each domain once")
    return domains


class Section(BaseModel):
    """A part of params.yaml: unknown keys are errors, values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)
