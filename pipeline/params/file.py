"""Loading a params file: checked whole before any work, with one line that states what is wrong with it."""

import re
import reprlib
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from pipeline.errors import InputError, nearest
from pipeline.params.overlay import BASE, base_of, find_params, read_params
from pipeline.params.schema import Params
from pipeline.params.yaml12 import printable, read_yaml

_NOISE = re.compile(
    r"^Input should be (a valid |a )?|^\w+ should have |, unable to .*| after validation, .*|, not \d+$"
)
"""The parts of pydantic's messages that do not name what is accepted."""
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


def load(path: Path) -> Params:
    """Read and check a params file; a path without a suffix is the name of a preset.

    A file in `presets` holds some keys and takes all others from the params.yaml beside that folder; see
    `overlay.merge`.

    Raises InputError naming the file, the key as the user wrote it, what was found and what is accepted.
    """
    path = find_params(path)
    base = base_of(path)
    return check(read_params(path), str(path) if base is None else f"{path} over {base}")


def check(values: dict[str, Any], place: str) -> Params:
    """Check parameters against the schema.

    Args:
        place: the name of what they were read from, for errors.

    Raises InputError naming `place`, the key, what was found and what is accepted.
    """
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{place}: {printable(_one_line(error.errors(), values))}") from error


def check_whole(path: Path) -> None:
    """Raise InputError if `path` is the params.yaml beside a dvc.yaml and lacks keys that one of its stages names."""
    if path.absolute() == Path(BASE).absolute():
        check_keys(read_yaml(path), str(path))


def check_keys(values: dict[str, Any], place: str) -> None:
    """Raise InputError if parameters lack keys that a stage of this folder's dvc.yaml, if it has one, depends on.

    Most have a default, but DVC would stop at the first stage that names one, maybe after hours of work.
    """
    dvc_yaml = Path("dvc.yaml")
    if not dvc_yaml.is_file():
        return
    content = read_yaml(dvc_yaml)
    stages = content.get("stages") if isinstance(content, dict) else None
    if not isinstance(stages, dict) or not all(isinstance(stage, dict) for stage in stages.values()):
        raise InputError(f"{dvc_yaml}: no stages, or one without content; accepted: the project's dvc.yaml")
    blocks = [stage.get("do", stage) for stage in stages.values()]
    watched = [key for block in blocks for key in block.get("params", []) if isinstance(key, str)]
    missing = [key for key in dict.fromkeys(watched) if not _has(values, key.split("."))]
    if missing:
        raise InputError(
            f"{place}: {', '.join(missing)} missing, which {dvc_yaml} names; accepted: a file with all of them"
        )


def _has(values: Any, names: list[str]) -> bool:
    for name in names:
        if not isinstance(values, dict) or name not in values:
            return False
        values = values[name]
    return True


def _one_line(errors: list[ErrorDetails], values: dict[str, Any]) -> str:
    # Of a misspelt key and the one that is missing for it, the misspelt one shows what to change.
    first = next((error for error in errors if error["type"] == "extra_forbidden"), errors[0])
    if first["type"] in ("extra_forbidden", "missing"):
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "missing":
            return f"{key}: missing; it has no default"
        accepted = _fields(first["loc"][:-1])
        return f"{key}: unknown parameter; accepted: {', '.join(accepted)}{nearest(str(first['loc'][-1]), accepted)}"
    loc, value = _in_file(first["loc"], values)
    key = ".".join(str(part) for part in loc)
    found = "got null" if value is None else f"got {_SHORT.repr(value)}"
    match first["type"]:
        case "value_error":
            message = first["msg"].removeprefix("Value error, ")
            return f"{key}: {message}" if key else message
        case "literal_error":
            names = first["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
            return f"{key}: {found}; accepted: {', '.join(names)}{nearest(str(value), names)}"
        case "model_type":
            return f"{key}: {found}; accepted: a section with {', '.join(_fields(loc))}"
        case _:
            options = [error["msg"] for error in errors if _in_file(error["loc"], values)[0] == loc]
            names = [_NOISE.sub("", name) for name in options]
            return f"{key}: {found}; accepted: {', '.join(dict.fromkeys(names))}"


def _in_file(loc: tuple[int | str, ...], values: Any) -> tuple[tuple[int | str, ...], Any]:
    """The part of an error's location that is in the file, with its value; pydantic adds the types it tried."""
    found: tuple[int | str, ...] = ()
    for part in loc:
        if part in values if isinstance(values, dict) else isinstance(values, list) and isinstance(part, int):
            found, values = (*found, part), values[part]
    return found, values


def _fields(loc: tuple[int | str, ...]) -> list[str]:
    """The field names of the section at a location, as the schema nests them."""
    schema = Params.model_json_schema()
    section = schema
    for part in loc:
        section = section.get("properties", {}).get(str(part), {})
        options = [section, *section.get("anyOf", []), *section.get("allOf", [])]
        references = [option["$ref"] for option in options if "$ref" in option]
        if references:
            section = schema["$defs"][references[0].rsplit("/", 1)[-1]]
    return list(section.get("properties", {}))
