"""Editing a params file's text: other values and comments for some keys; order, spacing and all else stay."""

from dataclasses import dataclass
from textwrap import dedent
from typing import Any

from ruamel.yaml.nodes import CollectionNode, MappingNode

from pipeline.errors import InputError
from pipeline.params.overlay import is_merged, merge
from pipeline.params.yaml12 import compose, inline, parse

COLUMN = 28
"""Where a new comment begins."""


@dataclass(frozen=True)
class Value:
    """The new value of a key.

    Args:
        yaml: its text; lines below the key begin with a newline and are indented.
        comment: the comment after it; None keeps the comment that is there.
    """

    yaml: str
    comment: str | None = None


def replace_values(text: str, values: dict[str, Value], place: str) -> str:
    """Give keys other values.

    Args:
        text: YAML, whole and valid.
        values: by the key with its sections: `teacher.model`.
        place: the name of what `text` was read from, for errors.

    Raises InputError if the text lacks one of the keys.
    """
    root = compose(text)
    spans = {key: _span(root, key, text, place) for key in values}
    # From the last to the first, so that the positions of the others stay valid.
    for key in sorted(spans, key=spans.__getitem__, reverse=True):
        start, end = spans[key]
        rest = text[end:].partition("\n")[0]
        text = text[:start] + _line(text[:start], values[key], text[start:end], rest) + text[end + len(rest) :]
    return text


def overlay_preset(text: str, preset: str, place: str) -> str:
    """Lay a preset over a whole params file as `overlay.merge` does.

    The preset's comments replace those of its keys; a section that it replaces is taken over with its comments.

    Args:
        text: the whole params file.
        preset: the preset's text.
        place: the name of what `text` was read from, for errors.

    Raises InputError if `text` lacks a section of the preset.
    """
    root = compose(preset)
    values = {}
    for key, (value, indent) in _changes(parse(text), parse(preset), compose(text), root).items():
        start, end = _span(root, key, preset, place)
        block, rest = preset[start:end], preset[end:].partition("\n")[0]
        if indent is not None and "\n" in block:
            lines = dedent(block[block.index("\n") + 1 :]).splitlines()
            values[key] = Value("".join(f"\n{' ' * indent}{line}" if line else "\n" for line in lines))
        else:
            values[key] = Value(inline(value), rest.partition("#")[2].strip() or None)
    return replace_values(text, values, place)


def _changes(
    base: dict[str, Any], overlay: dict[str, Any], base_node: Any, overlay_node: Any, prefix: str = ""
) -> dict[str, tuple[Any, int | None]]:
    """The new values by key, each with the indentation of its lines if the preset's text can be taken over.

    Sections are merged key by key if both texts have a line for each key; else the merged section is one value.

    Args:
        base, overlay: values of the params file and of the preset.
        base_node, overlay_node: their nodes in the trees of the two texts.
        prefix: the section's name with a dot, before each key.
    """
    key_nodes = {key_node.value: key_node for key_node, _ in base_node.value}
    base_nodes, overlay_nodes = (
        {key_node.value: node for key_node, node in section.value} for section in (base_node, overlay_node)
    )
    changes = {}
    for name, value in overlay.items():
        key = f"{prefix}{name}"
        old: Any = base.get(name)
        if not is_merged(str(name), old, value):
            key_node = key_nodes.get(str(name))
            changes[key] = value, key_node and key_node.start_mark.column + 2
        elif all(_is_block(nodes[str(name)]) for nodes in (base_nodes, overlay_nodes)) and value.keys() <= old.keys():
            changes |= _changes(old, value, base_nodes[str(name)], overlay_nodes[str(name)], f"{key}.")
        else:
            changes[key] = merge(old, value), None
    return changes


def _is_block(node: Any) -> bool:
    return isinstance(node, MappingNode) and not node.flow_style


def _line(before: str, value: Value, old: str, rest: str) -> str:
    """The text from a key's colon to the end of the line; a comment is in its column if the value leaves room."""
    if value.yaml.startswith("\n"):
        return value.yaml
    code, mark, comment = rest.partition("#")
    if value.comment is None and not mark:
        return f" {value.yaml}"
    if value.comment is None:
        column, comment = len(old) + len(code), comment.strip()
    else:
        column, comment = COLUMN - len(before.rpartition("\n")[2]), value.comment
    return f" {value.yaml} ".ljust(column) + f"# {comment}"


def _span(root: Any, key: str, text: str, place: str) -> tuple[int, int]:
    """The positions in the text where the value of a key begins, after its colon, and ends."""
    node = root
    start, end = 0, len(text)
    for name in key.split("."):
        pairs = node.value if isinstance(node, MappingNode) else []
        found = [(key_node, value_node) for key_node, value_node in pairs if key_node.value == name]
        if not found:
            raise InputError(f"{place}: no {key}; accepted: a file with every key, as the project's params.yaml has")
        key_node, node = found[0]
        start, end = key_node.end_mark.index + 1, node.end_mark.index
        if node.value == "" and not node.style:
            # Of nothing, which is null, the parser says that it ends where the next key begins.
            end = start
        if isinstance(node, CollectionNode) and not node.flow_style:
            # The parser counts blank lines and comments before the next key as part of this one.
            lines = text[start:end].splitlines(keepends=True)
            while lines and (not lines[-1].strip() or lines[-1].startswith("#")):
                end -= len(lines.pop())
            end -= text[start:end].endswith("\n")
    return start, end


def replace_header(text: str, header: str) -> str:
    """Replace the comment lines at the beginning of a text."""
    lines = text.splitlines(keepends=True)
    while lines and lines[0].startswith("#"):
        lines.pop(0)
    return "".join(f"# {line}\n" for line in header.splitlines()) + "".join(lines)
