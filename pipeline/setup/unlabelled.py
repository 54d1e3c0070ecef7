"""The target domain's texts without labels: a table of their own, or the rows of the target's that have no label."""

from collections.abc import Sequence
from typing import Any

from pipeline.data.loading import Files
from pipeline.data.quoting import shown
from pipeline.setup.column import Column, columns_of
from pipeline.setup.columns import Choose, texts_like

FEWEST = 20
"""Rows at least; with fewer there is little to learn."""


def unlabelled_table(
    section: dict[str, Any], files: Files, like: Sequence[Column], target: str, choose: Choose, notes: list[str]
) -> dict[str, Any]:
    """The section `data.unlabelled` for a table.

    Args:
        section: the keys of it that say where the table is.
        files: the table, read.
        like: the columns of the target's texts, taken first by their names.
        target: address of the target's table, for errors.
        notes: a line on what was found is added to it.

    Raises InputError if the table has no texts, or pairs where the target has single texts.
    """
    path, columns = section["path"], columns_of(files)
    texts = columns if len(columns) == len(like) == 1 else texts_like(columns, path, like, target, choose)
    names = " and ".join(shown(column.name) for column in texts)
    notes.append(f"unlabelled: {len(texts[0].cells):,} rows of {path}; texts {names}")
    return section | {"columns": _names(texts)}


def rows_without_label(
    texts: Sequence[Column], label: Column, section: dict[str, Any], notes: list[str]
) -> dict[str, Any] | None:
    """The section `data.unlabelled` for the target's rows without a label; None if their texts are fewer than FEWEST.

    A text that another row has with a label is none of them.

    Args:
        section: the keys that say where the target's table is.
    """
    cells = [*zip(label.cells, *(text.cells for text in texts), strict=True)]
    labelled = {tuple(row) for cell, *row in cells if cell not in label.missing}
    missing = {tuple(row): cell for cell, *row in cells if all(row) and tuple(row) not in labelled}
    if len(missing) < FEWEST:
        return None
    notes.append(f"unlabelled: {len(missing):,} texts of {section['path']}, which have no label in {shown(label.name)}")
    return section | {"columns": _names(texts), "where": {label.name: sorted(set(missing.values()))}}


def _names(texts: Sequence[Column]) -> dict[str, str]:
    return dict(zip(("text", "text_pair"), (column.name for column in texts), strict=False))
