"""Tables of texts from hub ids, local files and installed packages, with columns, filters and labels applied."""

import math
import os
import re
from collections.abc import Sequence
from glob import escape, glob
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.addresses.packages import package_path
from pipeline.data.hub import read_hub
from pipeline.data.quoting import listed, shown
from pipeline.data.reading import SUFFIXES, read_file
from pipeline.errors import InputError, nearest
from pipeline.params.data import Table

MISSING = ("nan", "null", "<na>")
"""How other programs write that there is no value."""


def load_table(table: Table, key: str, *, labelled: bool) -> pd.DataFrame:
    """Read a table the user named: columns `row`, `text` and, where named, `text_pair`, `label`, `groups`.

    `row` is the row's number as the user counts: 1 is the first row of data, through all files of a glob; blank lines
    are no rows. Cells are strings, empty where the file has none, `groups` tuples of them; labels are stripped and
    renamed by `table.labels`; the index counts from 0.

    Args:
        table: the address with its columns, filters and label names.
        key: where the table stands in params.yaml, for errors: `data.source`.
        labelled: whether the label column is read; without it `label` is absent.

    Raises InputError naming the file and the row, column or parameter.
    """
    named = {"text": table.columns.text, "text_pair": table.columns.text_pair}
    if labelled:
        if table.columns.label is None:
            raise InputError(f"{key}.columns.label: got null; accepted: the column that holds the label")
        named["label"] = table.columns.label
    wanted = {ours: theirs for ours, theirs in named.items() if theirs is not None}
    for ours, theirs in wanted.items():
        first = next(name for name in wanted if wanted[name] == theirs)
        if ours != first:
            raise InputError(
                f"{key}.columns.{ours}: got {shown(theirs)}, which columns.{first} names too; accepted: another column"
            )

    group = table.columns.group
    groups = [group] if isinstance(group, str) else group or []
    asked = [*wanted.items(), *(("group", column) for column in groups)]
    frame = _read(table, key, [(f"columns.{ours}", theirs) for ours, theirs in asked])
    frame = _matching(frame, table, key)
    out = pd.DataFrame({"row": frame.index + 1})
    rows = out["row"].tolist()
    for ours, theirs in wanted.items():
        values = _cells(frame[theirs], rows, f"{table.path}, column {theirs!r}")
        if ours == "label":
            values = _renamed(values, rows, table, key, f"{table.path}, column {theirs!r}")
        out[ours] = values
    if groups:
        cells = [_cells(frame[column], rows, f"{table.path}, column {column!r}") for column in groups]
        out["groups"] = list(zip(*cells, strict=True))
    return out


def _read(table: Table, key: str, wanted: list[tuple[str, str]]) -> pd.DataFrame:
    """All files of a table, one below the other, each with the columns wanted of it."""
    wanted = [*wanted, *(("where", column) for column in table.where)]
    frames = []
    for place, frame in read_frames(table, key):
        if frame.empty:
            continue
        found = [str(column) for column in frame.columns]
        for name, column in wanted:
            if column not in found:
                raise InputError(
                    f"{key}.{name}: {place} has no column {column!r}; accepted: {listed(found)}{nearest(column, found)}"
                )
        frames.append(frame[list(dict.fromkeys(column for _, column in wanted))])
    if not frames:
        raise InputError(f"{key}.path: {table.path} has no rows")
    return pd.concat(frames, ignore_index=True)


def read_frames(table: Table, key: str) -> list[tuple[str, pd.DataFrame]]:
    """Read the files of a table as they are, each with its name. Raises InputError if there are none."""
    # Unlike Path.expanduser it leaves the name of a user who is not there as it is.
    address = os.path.expanduser(table.path)  # noqa: PTH111
    if address.startswith("package:"):
        paths = [package_path(address, f"{key}.path")]
    elif Path(address).exists() or (Path(address).suffix.lower() in SUFFIXES and not _is_pattern(address)):
        paths = [Path(address)]
    elif _is_pattern(address):
        files = [path for path in map(Path, sorted(set(_matches(address)))) if path.is_file()]
        # Links may lead to a file twice: it goes by its first name.
        named: dict[Path, Path] = {}
        for path in files:
            named.setdefault(path.resolve(), path)
        paths = list(named.values())
        if not paths:
            raise InputError(f"{key}.path: no file matches {address}")
    elif re.fullmatch(r"[\w.-]+(/[\w.-]+)?", address):
        return [(address, read_hub(table, key))]
    else:
        raise InputError(f"{key}.path: {address} is no file, glob, package: address or hub id")
    return [(str(path), read_file(path, key)) for path in paths]


def _matches(pattern: str) -> list[str]:
    """The paths that match, where `**` stands for folders at any depth, each once: links may lead in a circle."""
    parts = Path(pattern).parts
    if "**" not in parts:
        # Unlike Path.glob it takes absolute patterns and leaves hidden files out.
        return glob(pattern)  # noqa: PTH207
    at = parts.index("**")
    rest = parts[at + 1 :] or ("*",)
    found = []
    for place in glob(str(Path(*parts[:at]))):  # noqa: PTH207
        seen: set[str] = set()
        for folder, inner, _ in os.walk(place, followlinks=True):
            if os.path.realpath(folder) in seen:
                inner.clear()
                continue
            seen.add(os.path.realpath(folder))
            inner[:] = sorted(name for name in inner if not name.startswith("."))
            found += _matches(str(Path(escape(folder), *rest)))
    return found


def _is_pattern(address: str) -> bool:
    return any(mark in address for mark in "*?[")


def _matching(frame: pd.DataFrame, table: Table, key: str) -> pd.DataFrame:
    """The rows that `where` asks for, under their old index."""
    keep = np.ones(len(frame), dtype=bool)
    for column, value in table.where.items():
        accepted = {plain(option) for option in (value if isinstance(value, list) else [value])}
        found = [plain(cell) for cell in frame[column]]
        keep &= np.fromiter((cell in accepted for cell in found), dtype=bool, count=len(found))
        if not accepted & set(found):
            raise InputError(
                f"{key}.where: no row of {table.path} has {listed(sorted(accepted))} in column {column!r}; "
                f"found: {listed(sorted(set(found)))}"
                f"{nearest(min(accepted), [name for name in set(found) if len(name) <= 100])}"
            )
    if not keep.any():
        raise InputError(f"{key}.where: no row of {table.path} matches all of {table.where}")
    return frame[keep]


def _cells(values: pd.Series, rows: Sequence[int], place: str) -> list[str]:
    out = []
    for value, row in zip(values, rows, strict=True):
        if isinstance(value, (list, tuple, dict, set, bytes, np.ndarray)):
            raise InputError(f"{place}, row {row}: got {type(value).__name__}; accepted: text or a number")
        text = plain(value)
        try:
            text.encode()
        except UnicodeEncodeError:
            # JSON can spell half of a surrogate pair, which no file can hold.
            raise InputError(f"{place}, row {row}: half a character (a lone surrogate) in the text") from None
        out.append(text)
    return out


def _renamed(values: list[str], rows: Sequence[int], table: Table, key: str, place: str) -> list[str]:
    labels = [value.strip() for value in values]
    for label, row in zip(labels, rows, strict=True):
        if not label:
            raise InputError(f"{place}, row {row}: no label; accepted: a value in every row")
        if label.lower() in MISSING and label not in table.labels:
            raise InputError(
                f"{place}, row {row}: got {label}, which stands for no label; "
                f"accepted: a value in every row, or {key}.labels with another name for it"
            )
    found = sorted(set(labels))
    unknown = sorted(set(table.labels) - set(found))
    if unknown:
        raise InputError(
            f"{place}: {key}.labels renames {shown(unknown[0])}, which no row has; found: {listed(found)}"
            f"{nearest(unknown[0], [name for name in found if len(name) <= 100])}"
        )
    return [table.labels.get(label, label) for label in labels]


def plain(value: Any) -> str:
    """A cell as text: missing is empty, 1.0 is `1`."""
    if isinstance(value, str):
        return value
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
