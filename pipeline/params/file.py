"""Reading a params file: whole, before any work, and with one line that says what is wrong with it."""

import re
import reprlib
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from pipeline.errors import InputError, nearest
from pipeline.params.schema import Params

PRESETS = Path("presets")
_ACCEPTED = re.compile(
    r"^Input should be (a valid |a )?|^\w+ should have |, unable to .*| after validation, .*|, not \d+$"
)
"""What of pydantic's messages is not what is accepted."""
_DEEPEST = 32
"""Lists and mappings in one another; a params file has six at most. Far below what Python's stack holds."""
_MOST_BITS = 10_000
"""Of an integer. Python refuses to print one of some more."""
_MOST_VALUES = 100_000
"""In one file; a params file has some hundred."""
_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


class Once(yaml.SafeLoader):
    """YAML in which a key stands once: of two, PyYAML would take the last and not say so.

    Nor are there dates, which no parameter is, or aliases of aliases that would be gigabytes written out.
    Raises MarkedYAMLError for what is no such YAML.
    """

    yaml_implicit_resolvers = {
        first: [(tag, form) for tag, form in resolvers if tag != _TIMESTAMP]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self.depth = 0
        # Values so far, those that aliases stand for among them; and of each anchor.
        self.written_out = 0
        self._sizes: dict[str, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Make a node of the events that come."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        is_alias = isinstance(event, yaml.AliasEvent)
        if is_alias and event.anchor in self.anchors and event.anchor not in self._sizes:
            problem = f"found the alias *{event.anchor} within itself"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        if self.depth == _DEEPEST:
            problem = f"more than {_DEEPEST} lists and mappings in one another"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        before = self.written_out
        self.written_out += self._sizes.get(event.anchor, 1) if is_alias else 1
        if self.written_out > _MOST_VALUES:
            problem = f"more than {_MOST_VALUES:,} values, aliases written out"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        if not is_alias and getattr(event, "anchor", None) is not None:
            self._sizes[event.anchor] = self.written_out - before
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Make a value of a node."""
        try:
            value = super().construct_object(node, deep)
            if isinstance(value, int) and value.bit_length() > _MOST_BITS:
                raise OverflowError
            if isinstance(value, str):
                value.encode()  # Half a character, `"\ud800"`, is none that pydantic or a terminal takes.
        # PyYAML takes for granted that a scalar has the form of its tag: `!!bool x` is a KeyError.
        except (ArithmeticError, AttributeError, LookupError, ValueError):
            problem = f"{_SHORT.repr(node.value)} cannot be read as {node.tag.rpartition(':')[2]}"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from None
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Make a mapping of its nodes."""
        seen = set()
        # `!!map x` is none, which PyYAML says.
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        for key in (key for key, _ in pairs if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value} stands twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def load(path: Path) -> Params:
    """Read and check a params file whole; a name without a suffix is that of a preset.

    Raises InputError naming the file, the key as the user wrote it, what was found and what is accepted.
    """
    if not path.suffix and not path.exists():
        presets = sorted(PRESETS.glob("*.yaml"))
        names = [preset.stem for preset in presets]
        if str(path) not in names:
            accepted = f"a params file, or a preset: {', '.join(names) or 'none is here'}"
            raise InputError(f"{path}: no such preset; accepted: {accepted}{nearest(str(path), names)}")
        path = presets[names.index(str(path))]
    try:
        given = yaml.load(path.read_text(encoding="utf-8"), Once)
    except FileNotFoundError:
        beside = [file.name for file in path.parent.glob("*.yaml")]
        raise InputError(f"{path}: no such params file{nearest(path.name, beside)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    # Of what is no character, `"\UFFFFFFFF"`, PyYAML's scanner lets Python's own errors through.
    except (yaml.YAMLError, ArithmeticError, ValueError) as error:
        raise InputError(f"{path}: not YAML: {_printable(str(error))}") from None
    if not isinstance(given, dict):
        found = "nothing" if given is None else type(given).__name__
        raise InputError(f"{path}: got {found}; accepted: a mapping of parameters")
    try:
        return Params.model_validate(given)
    except ValidationError as errors:
        raise InputError(f"{path}: {_printable(_one_line(errors.errors(), given))}") from None


def check_whole(path: Path, dag: Path) -> None:
    """Raise InputError if a params file lacks keys that a stage of `dag`, a dvc.yaml, is watched for.

    Most have a default, but DVC would stop at the first stage that names one, in the middle of its work.
    """
    given = yaml.safe_load(path.read_text(encoding="utf-8"))
    stages = [stage.get("do", stage) for stage in yaml.safe_load(dag.read_text())["stages"].values()]
    watched = [key for stage in stages for key in stage.get("params", [])]
    missing = [key for key in dict.fromkeys(watched) if not _has(given, key.split("."))]
    if missing:
        raise InputError(f"{path}: {', '.join(missing)} missing, which {dag} names; accepted: a file with all of them")


def _has(given: Any, names: list[str]) -> bool:
    for name in names:
        if not isinstance(given, dict) or name not in given:
            return False
        given = given[name]
    return True


def _printable(said: str) -> str:
    """One line of what may hold newlines, and halves of characters."""
    return " ".join(said.split()).encode(errors="backslashreplace").decode()


def _one_line(errors: list[ErrorDetails], given: dict[Any, Any]) -> str:
    # Where a key is misspelt, the one that is missing tells less.
    first = next((error for error in errors if error["type"] == "extra_forbidden"), errors[0])
    if first["type"] in ("extra_forbidden", "missing"):
        place = ".".join(str(part) for part in first["loc"])
        if first["type"] == "missing":
            return f"{place}: missing; it has no default"
        accepted = _fields_at(first["loc"][:-1])
        return f"{place}: unknown parameter; accepted: {', '.join(accepted)}{nearest(str(first['loc'][-1]), accepted)}"
    loc, value = _written(first["loc"], given)
    place = ".".join(str(part) for part in loc)
    found = "got null" if value is None else f"got {_SHORT.repr(value)}"
    match first["type"]:
        case "value_error":
            message = first["msg"].removeprefix("Value error, ")
            return f"{place}: {message}" if place else message
        case "literal_error":
            names = first["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
            return f"{place}: {found}; accepted: {', '.join(names)}{nearest(str(value), names)}"
        case "model_type":
            return f"{place}: {found}; accepted: a section with {', '.join(_fields_at(loc))}"
        case _:
            options = [error["msg"] for error in errors if _written(error["loc"], given)[0] == loc]
            names = [_ACCEPTED.sub("", name) for name in options]
            return f"{place}: {found}; accepted: {', '.join(dict.fromkeys(names))}"


def _written(loc: tuple[int | str, ...], given: Any) -> tuple[tuple[int | str, ...], Any]:
    """The part of an error's place that is in the file, and what stands there; pydantic adds the types it tried."""
    for depth, part in enumerate(loc):
        there = part in given if isinstance(given, dict) else isinstance(given, list) and isinstance(part, int)
        if not there:
            return loc[:depth], given
        given = given[part]
    return loc, given


def _fields_at(place: tuple[int | str, ...]) -> list[str]:
    """The field names of the section at `place`, as the schema nests them."""
    schema = Params.model_json_schema()
    here = schema
    for part in place:
        here = here.get("properties", {}).get(str(part), {})
        options = [here, *here.get("anyOf", []), *here.get("allOf", [])]
        references = [option["$ref"] for option in options if "$ref" in option]
        if references:
            here = schema["$defs"][references[0].rsplit("/", 1)[-1]]
    return list(here.get("properties", {}))
