"""The kinds of values that params.yaml holds, and what is wrong with any other."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

Domain = Literal["source", "target"]
Engine = Literal["local", "ray"]


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"got {value}; accepted: finite number")
    return value


# Without an upper bound a slip of the finger would fill the memory, or go on for ever, and not say why.
Count = Annotated[int, Field(ge=0, le=1_000_000, strict=True)]
Positive = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
FewOrNone = Annotated[int, Field(ge=0, le=10_000, strict=True)]
Few = Annotated[int, Field(ge=1, le=10_000, strict=True)]
Rows = Annotated[int, Field(ge=1, le=2**31, strict=True)]
Number = Annotated[float, Field(allow_inf_nan=False), BeforeValidator(_no_boolean)]
Rate = Annotated[Number, Field(gt=0)]
Temperature = Annotated[Number, Field(ge=0.001, le=1000)]
Weight = Annotated[Number, Field(ge=0, le=1e6)]
Name = Annotated[str, Field(min_length=1)]
Share = Annotated[Number, Field(ge=0, le=1)]
Probability = Annotated[Number, Field(gt=0, lt=1)]
Domains = Annotated[list[Domain], AfterValidator(lambda given: _once(given))]
Names = Annotated[dict[str, str], BeforeValidator(lambda given: _as_text(given))]


def _as_text(given: Any) -> Any:
    """YAML reads `{0: negative}` with an integer key; a label is its text."""
    if not isinstance(given, dict):
        return given
    for key, value in given.items():
        if value is None or isinstance(value, bool):
            raise ValueError(f"got {key}: {'null' if value is None else value}; accepted: a name, in quotes if need be")
    return {str(key): str(value) for key, value in given.items()}


def _once(given: list[Domain]) -> list[Domain]:
    if len(set(given)) < len(given):
        raise ValueError(f"got {given}; accepted: each domain once")
    return given


class Section(BaseModel):
    """A part of params.yaml: unknown keys are errors, values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)
