"""A params file's text with other values in it: its order, its spacing and the comments on all else stay."""

import json
from dataclasses import dataclass
from typing import Any

import yaml

from pipeline.errors import InputError

COLUMN = 28
"""Where a new comment begins."""


@dataclass(frozen=True)
class Value:
    """What a key is to have.

    Args:
        yaml: its text; lines below the key begin with a newline and are indented.
        comment: what is said behind it; None keeps what is there.
    """

    yaml: str
    comment: str | None = None


def inline(value: Any) -> str:
    """A value as YAML on one line."""
    options: dict[str, Any] = {"default_flow_style": True, "allow_unicode": True, "sort_keys": False}
    line = yaml.safe_dump(value, width=float("inf"), **options).removesuffix("...\n").strip()
    # JSON is YAML too, and writes a line's end as two signs.
    return json.dumps(value, ensure_ascii=False) if "\n" in line else line


def replaced(text: str, values: dict[str, Value], place: str) -> str:
    """Give keys other values.

    Args:
        text: YAML, whole and valid.
        values: by the key as it would be written: `teacher.model`.
        place: the name of what `text` was read from, for errors.

    Raises InputError if the text lacks one of the keys.
    """
    whole = yaml.compose(text)
    spans = {key: _span(whole, key, text, place) for key in values}
    # From the last to the first, so that the places of those to come stay as they are.
    for key in sorted(spans, key=spans.__getitem__, reverse=True):
        start, end = spans[key]
        behind = text[end:].partition("\n")[0]
        text = text[:start] + _line(text[:start], values[key], text[start:end], behind) + text[end + len(behind) :]
    return text


def _line(before: str, value: Value, old: str, behind: str) -> str:
    """What stands behind a key's colon to the line's end; a comment stays in its column if the value leaves it."""
    said = behind.partition("#")[2].strip() if value.comment is None else value.comment
    if value.yaml.startswith("\n") or not said:
        return value.yaml if value.yaml.startswith("\n") else f" {value.yaml}"
    column = len(old) + len(behind.partition("#")[0])
    if "#" not in behind:
        column = COLUMN - len(before.rpartition("\n")[2])
    return f" {value.yaml} ".ljust(column) + f"# {said}"


def _span(whole: Any, key: str, text: str, place: str) -> tuple[int, int]:
    """Where what belongs to a key begins, behind its colon, and ends."""
    node = whole
    start, end = 0, len(text)
    for name in key.split("."):
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        found = [(label, value) for label, value in pairs if label.value == name]
        if not found:
            raise InputError(f"{place}: no {key}; accepted: a file with every key, as those in presets have")
        label, node = found[0]
        start, end = label.end_mark.index + 1, node.end_mark.index
        if isinstance(node, yaml.CollectionNode) and not node.flow_style:
            # The parser counts blank lines and comments before the next key as this one's.
            lines = text[start:end].splitlines(keepends=True)
            while lines and (not lines[-1].strip() or lines[-1].startswith("#")):
                end -= len(lines.pop())
            end -= text[start:end].endswith("\n")
    return start, end


def headed(text: str, header: str) -> str:
    """Put other comment lines in place of those that a text begins with."""
    lines = text.splitlines(keepends=True)
    while lines and lines[0].startswith("#"):
        lines.pop(0)
    return "".join(f"# {line}\n" for line in header.splitlines()) + "".join(lines)
