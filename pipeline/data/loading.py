"""Tables of texts from the hub, local files and installed packages, with columns, filters and labels applied."""

import os
from collections.abc import Sequence
from glob import escape, glob
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.addresses.packages import package_path
from pipeline.addresses.resolve import expand_home, kind_of
from pipeline.data.cells import as_text, missing_values
from pipeline.data.hub import read_hub
from pipeline.data.quoting import listed, shown
from pipeline.data.reading import read_file
from pipeline.errors import InputError, nearest
from pipeline.params.data import Table
from pipeline.params.yaml12 import inline

Files = list[tuple[str, pd.DataFrame]]
"""The files of a table as they are, each with its name."""


def load_table(
    table: Table, key: str, *, labelled: bool, partly: bool = False, files: Files | None = None
) -> pd.DataFrame:
    """Read a table the user named: columns `row`, `text` and, where named, `text_pair`, `label`, `groups`.

    `row` is the row number as a user counts: 1 is the first row of data, through all files of a glob; blank lines are
    not counted. Cells are strings, empty where the file has no value, and `groups` are tuples of them; labels are
    stripped and renamed by `table.labels`; the index counts from 0.

    Args:
        table: the address with its columns, filters and label names.
        key: the table's key in params.yaml, for errors: `data.source`.
        labelled: whether the columns of label and group are read; without it `label` and `groups` are absent.
        partly: whether rows may have no label; theirs is empty. So is one that `table.labels` renames to nothing.
        files: what `read_files` returned, if the table was read before.

    Raises InputError naming the file and the row, column or parameter.
    """
    optional = {"text": table.columns.text, "text_pair": table.columns.text_pair}
    if labelled:
        if table.columns.label is None:
            raise InputError(f"{key}.columns.label: got null; accepted: the column that holds the label")
        optional["label"] = table.columns.label
    columns = {name: column for name, column in optional.items() if column is not None}
    for name, column in columns.items():
        first = next(other for other in columns if columns[other] == column)
        if name != first:
            raise InputError(
                f"{key}.columns.{name}: got {shown(column)}, which columns.{first} names too; accepted: another column"
            )

    group = table.columns.group if labelled else None
    groups = [group] if isinstance(group, str) else group or []
    required = [(f"columns.{name}", column) for name, column in columns.items()]
    required += [("columns.group", column) for column in groups]
    frame, classes = _joined(read_files(table, key) if files is None else files, table, key, required)
    table = _by_class_name(table, classes)
    frame = _filtered(frame, table, key)
    out = pd.DataFrame({"row": frame.index + 1})
    rows = out["row"].tolist()
    for name, column in columns.items():
        cells = text_cells(frame[column], rows, f"{table.path}, column {column!r}")
        if name == "label":
            cells = _renamed(cells, rows, table, key, partly=partly)
        # As objects they are those of the files; pandas' own strings are a copy, which is made anew at each use.
        out[name] = pd.Series(cells, dtype=object)
    if groups:
        values = [text_cells(frame[column], rows, f"{table.path}, column {column!r}") for column in groups]
        out["groups"] = list(zip(*values, strict=True))
    return out


def _joined(
    files: Files, table: Table, key: str, required: list[tuple[str, str]]
) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """All files of a table, one below the other, and the class names that they carry, by column.

    Args:
        required: pairs of a parameter and its column, which every file must have.
    """
    classes: dict[str, list[str]] = {}
    required = [*required, *(("where", column) for column in table.where)]
    frames = []
    for file, frame in files:
        if frame.empty:
            continue
        header = [str(column) for column in frame.columns]
        for parameter, column in required:
            if column not in header:
                raise InputError(
                    f"{key}.{parameter}: {file} has no column {column!r}; "
                    f"accepted: {listed(header)}{nearest(column, header)}"
                )
        classes |= {str(column): names for column, names in frame.attrs.items()}
        frames.append(frame[list(dict.fromkeys(column for _, column in required))])
        # pandas compares them when it joins frames.
        frames[-1].attrs = {}
    if not frames:
        raise InputError(f"{key}.path: {table.path} has no rows")
    return pd.concat(frames, ignore_index=True), classes


def _by_class_name(table: Table, classes: dict[str, list[str]]) -> Table:
    """The table with names in `where` and `labels` in place of the indices of classes, which may be named by both."""

    def name(column: str | None, value: Any) -> Any:
        names, text = classes.get(column or "", []), as_text(value)
        return names[int(text)] if text.isdecimal() and text not in names and int(text) < len(names) else value

    where = {
        column: [name(column, option) for option in (value if isinstance(value, list) else [value])]
        for column, value in table.where.items()
    }
    labels = {name(table.columns.label, old): new for old, new in table.labels.items()}
    return table.model_copy(update={"where": where, "labels": labels}) if classes else table


def read_files(table: Table, key: str) -> Files:
    """Read the files of a table as they are, each with its name; `attrs` has the classes that columns carry names for.

    Raises InputError if there are none.
    """
    address = expand_home(table.path)
    match kind_of(address):
        case "package":
            paths = [package_path(address, f"{key}.path")]
        case "local":
            paths = [Path(address)]
        case "glob":
            paths = _files(address)
            if not paths:
                raise InputError(f"{key}.path: no file matches {address}")
        case "hub":
            return [(address, read_hub(table, key))]
        case None:
            raise InputError(
                f"{key}.path: {address} is not a valid address; accepted: a file, glob, package: address or hub id"
            )
    return [(str(path), read_file(path, key)) for path in paths]


def _files(pattern: str) -> list[Path]:
    """The files that match, sorted. A file that several links lead to is listed once, by its first name."""
    files: dict[Path, Path] = {}
    for path in map(Path, sorted(set(_matches(pattern)))):
        if path.is_file():
            files.setdefault(path.resolve(), path)
    return list(files.values())


def _matches(pattern: str) -> list[str]:
    """The paths that match; `**` matches folders at any depth, each visited once, as links may form a cycle."""
    parts = Path(pattern).parts
    if "**" not in parts:
        # Unlike Path.glob, glob takes absolute patterns and leaves out hidden files.
        return glob(pattern)  # noqa: PTH207
    index = parts.index("**")
    rest = parts[index + 1 :] or ("*",)
    matches = []
    for root in glob(str(Path(*parts[:index]))):  # noqa: PTH207
        seen: set[str] = set()
        for folder, subfolders, _ in os.walk(root, followlinks=True):
            if os.path.realpath(folder) in seen:
                subfolders.clear()
                continue
            seen.add(os.path.realpath(folder))
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            matches += _matches(str(Path(escape(folder), *rest)))
    return matches


def _filtered(frame: pd.DataFrame, table: Table, key: str) -> pd.DataFrame:
    """The rows that match `table.where`, under their old index."""
    keep = np.ones(len(frame), dtype=bool)
    for column, value in table.where.items():
        # Without the blanks around them, as labels are compared.
        options = value if isinstance(value, list) else [value]
        accepted = {form for option in options for form in _forms(option)}
        cells = [as_text(cell).strip() for cell in frame[column]]
        keep &= np.fromiter((cell in accepted for cell in cells), dtype=bool, count=len(cells))
        if not accepted & set(cells):
            asked = listed(sorted(_forms(option)[0] for option in options))
            raise InputError(
                f"{key}.where: no row of {table.path} has {asked} in column {column!r}; "
                f"found: {listed(sorted(set(cells)))}"
                f"{nearest(min(accepted), [cell for cell in set(cells) if len(cell) <= 100])}"
            )
    if not keep.any():
        raise InputError(f"{key}.where: no row of {table.path} matches all of {table.where}")
    return frame[keep]


def _forms(option: object) -> list[str]:
    """How cells write a value of `where`, first as params.yaml has it: true as JSON, Python and spreadsheets do."""
    text = as_text(option).strip()
    return [text.lower(), text, text.upper()] if isinstance(option, bool) else [text]


def text_cells(values: pd.Series, rows: Sequence[int], column: str) -> list[str]:
    """The cells of a column as text. Raises InputError, naming the column and row, for one that is not a scalar."""
    cells = values.tolist()
    if set(map(type, cells)) != {str}:
        for value, row in zip(cells, rows, strict=True):
            if isinstance(value, (list, tuple, dict, set, bytes, np.ndarray)):
                raise InputError(f"{column}, row {row}: got {type(value).__name__}; accepted: text or a number")
        cells = list(map(as_text, cells))
    for text, row in zip(cells, rows, strict=True):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            # JSON can escape half of a surrogate pair, which UTF-8 cannot hold.
            raise InputError(f"{column}, row {row}: half a character (a lone surrogate) in the text") from error
    return cells


def _renamed(cells: list[str], rows: Sequence[int], table: Table, key: str, *, partly: bool) -> list[str]:
    """The labels, stripped and renamed; those that are missing, or are renamed to nothing, are empty.

    Raises InputError for one that must not be missing, or for a rename that applies to no row.
    """
    column = f"{table.path}, column {table.columns.label!r}"
    labels = [cell.strip() for cell in cells]
    missing = missing_values(labels) - set(table.labels)
    for position, (label, row) in enumerate(zip(labels, rows, strict=True)):
        if label not in missing:
            continue
        if not partly:
            found = f"got {label}, which means a missing label" if label else "no label"
            renamed = f"; or {key}.labels with another name for it" if label else ""
            left_out = f'{{{inline(label)}: ""}}'
            raise InputError(
                f"{column}, row {row}: {found}; accepted: a value in every row, or {key}.labels: {left_out} "
                f"to leave such rows out{renamed}"
            )
        labels[position] = ""
    names = sorted({*labels} - {""})
    unknown = sorted(set(table.labels) - set(labels))
    if unknown:
        raise InputError(
            f"{column}: {key}.labels renames {shown(unknown[0])}, which no row has; found: {listed(names)}"
            f"{nearest(unknown[0], [name for name in names if len(name) <= 100])}"
        )
    return [table.labels.get(label, label) for label in labels]
