"""Reading and writing YAML 1.2, as DVC does: `no`, `12:30` and dates are texts.

YAML 1.1 would read a boolean, a number and a date. When DVC writes params.yaml (`dvc exp run -S`), it drops the quotes
that YAML 1.2 does not need, so that a reader of YAML 1.1 would then read another value.
"""

import io
import json
import reprlib
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode
from ruamel.yaml.representer import SafeRepresenter

from pipeline.errors import InputError

_INT, _FLOAT, _TIMESTAMP = (f"tag:yaml.org,2002:{name}" for name in ("int", "float", "timestamp"))


class WrittenInt(int):
    """An integer whose text in the file is not that of `str`: `010`, `0o10`, `1_000`."""

    text: str


class WrittenFloat(float):
    """A number with its text in the file: `1e-5`, `1.50`."""

    text: str


class _Constructor(SafeConstructor):
    """Python values of YAML nodes: duplicate keys are errors, timestamps are texts, numbers keep how they are written.

    Raises ConstructorError with the line.
    """

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        """The value of a node."""
        try:
            value = super().construct_object(node, deep)
            if isinstance(value, str):
                value.encode()  # A lone surrogate, `"\ud800"`, is refused by pydantic and by terminals.
            if type(value) is float or (type(value) is int and str(value) != node.value):
                value = WrittenInt(value) if isinstance(value, int) else WrittenFloat(value)
                value.text = node.value
        except (ArithmeticError, AttributeError, LookupError, ValueError) as error:
            # ruamel.yaml expects a scalar to have the form of its tag: `!!bool x` is a KeyError.
            problem = f"{reprlib.repr(node.value)} cannot be read as {str(node.tag).rpartition(':')[2]}"
            raise ConstructorError(problem=problem, problem_mark=node.start_mark) from error
        return value

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """The mapping of a node. Keys are compared by their text, so that `0` and `'0'` are the same label."""
        seen = set()
        # A scalar tagged `!!map` is refused by the base class.
        pairs = node.value if isinstance(node, MappingNode) else []
        for key in (key for key, _ in pairs if isinstance(key, ScalarNode)):
            if key.value in seen:
                raise ConstructorError(problem=f"duplicate key {key.value}", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Constructor.add_constructor(_TIMESTAMP, SafeConstructor.construct_yaml_str)


class _Representer(SafeRepresenter):
    """YAML of Python values; numbers as they were written."""


_Representer.add_representer(WrittenInt, lambda self, value: self.represent_scalar(_INT, value.text))
_Representer.add_representer(WrittenFloat, lambda self, value: self.represent_scalar(_FLOAT, value.text))


def _yaml() -> YAML:
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor, yaml.Representer = _Constructor, _Representer
    yaml.width = 1_000_000
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    # An anchor may be set again.
    yaml.composer.warn_double_anchors = False
    return yaml


def read_yaml(path: Path) -> Any:
    """The value that a YAML file holds; None if it holds nothing.

    Raises FileNotFoundError, and InputError with the file, the line and what is wrong.
    """
    try:
        return _yaml().load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    except MarkedYAMLError as error:
        mark = error.problem_mark
        where = "" if mark is None else f", line {mark.line + 1}, column {mark.column + 1}"
        problem = printable(" ".join(filter(None, (error.context, error.problem))))
        raise InputError(f"{path}: not YAML: {problem}{where}") from error
    except RecursionError as error:
        raise InputError(f"{path}: not YAML: lists or mappings are nested too deeply") from error
    # The scanner lets Python's own errors through for `"\UFFFFFFFF"`, which is no character.
    # ruamel asserts that a %YAML directive names a version it has.
    except (YAMLError, ArithmeticError, AssertionError, ValueError) as error:
        raise InputError(f"{path}: not YAML: {printable(str(error))}") from error


def parse(text: str) -> Any:
    """The value that valid YAML stands for."""
    return _yaml().load(text)


def compose(text: str) -> Any:
    """The tree of nodes of valid YAML, each with where it starts and ends in the text."""
    return _yaml().compose(text)


def to_yaml(value: Any) -> str:
    """A value as YAML, a line for each key; its keys stay in their order."""
    yaml = _yaml()
    yaml.default_flow_style = False
    return _dump(yaml, value)


def inline(value: Any) -> str:
    """A value as YAML on one line."""
    yaml = _yaml()
    yaml.default_flow_style = True
    line = _dump(yaml, value).removesuffix("...\n").strip()
    # JSON is YAML too, and writes a line break as two characters.
    return json.dumps(value, ensure_ascii=False) if "\n" in line else line


def _dump(yaml: YAML, value: Any) -> str:
    stream = io.StringIO()
    yaml.dump(value, stream)
    return stream.getvalue()


def printable(text: str) -> str:
    """One line of a text that may hold line breaks and lone surrogates."""
    return " ".join(text.split()).encode(errors="backslashreplace").decode()
