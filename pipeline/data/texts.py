"""The prepared files: texts, or pairs of texts, and their labels in Parquet."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.errors import InputError, one_line
from pipeline.params.types import Domain
from pipeline.storage.atomic import publish_file
from pipeline.storage.parquet import read_table, write_tables

DOMAINS: dict[Domain, str] = {
    "source": "source.parquet",
    "target": "train.parquet",
    "unlabelled": "unlabelled.parquet",
}
"""The prepared file of each domain whose texts are augmented and distilled on."""
TEACHER_SOURCE = "teacher_source.parquet"
"""The prepared file of the source's texts that the teacher learns from: whole, where the student has sentences."""
FORMAT = 1
WRITTEN_ROWS = 2**16
"""Rows of a prepared file that are copied to be written. They bound the memory."""
Labels = npt.NDArray[Any]
"""int64 class indices, or float32 numbers; without a label NO_CLASS, or NaN."""
NO_CLASS = -1


@dataclass(frozen=True)
class Texts:
    """Texts of one domain: all with a label or, of the domain `unlabelled`, none.

    Args:
        ids: such as `target-000001`, with the row number in the user's table.
        pairs: the second text of each pair; None if texts are single (or there are none).
        labels: (texts,), int64 indices into `names`, or float32 numbers in regression; NO_CLASS or NaN without one.
        names: the classes in order; empty for regression.
    """

    ids: Sequence[str]
    texts: list[str]
    pairs: list[str] | None
    labels: Labels
    names: list[str]

    def __len__(self) -> int:
        """Number of texts or pairs."""
        return len(self.ids)

    def label(self, row: int) -> str | float | None:
        """The name of a text's class, or its number; None if it has no label."""
        label = self.labels[row]
        if self.names:
            return None if label == NO_CLASS else self.names[label]
        return None if np.isnan(label) else float(label)


def no_labels(count: int, names: Sequence[str]) -> Labels:
    """The labels of so many texts without one."""
    return np.full(count, NO_CLASS, dtype=np.int64) if names else np.full(count, np.nan, dtype=np.float32)


def write_texts(path: Path, texts: Texts, domain: Domain) -> None:
    """Write one file atomically; the same texts give the same bytes."""
    metadata = {
        "task": "classification" if texts.names else "regression",
        "labels": texts.names,
        "domain": domain,
        "format": FORMAT,
    }
    schema = _schema(regression=not texts.names).with_metadata({"l2a": json.dumps(metadata, ensure_ascii=False)})
    starts = range(0, len(texts), WRITTEN_ROWS) or [0]
    with publish_file(path) as temporary:
        write_tables((_table(texts, slice(start, start + WRITTEN_ROWS), schema) for start in starts), schema, temporary)


def _table(texts: Texts, part: slice, schema: pa.Schema) -> pa.Table:
    """Some rows as they are in a file."""
    ids = texts.ids[part]
    labels = [texts.label(row) for row in range(len(texts))[part]]
    # The shortest decimals of a float32, so that 0.1 is not 0.10000000149 in the file; it reads back the same.
    labels = [float(str(np.float32(label))) if isinstance(label, float) else label for label in labels]
    pairs = [None] * len(ids) if texts.pairs is None else texts.pairs[part]
    return pa.table([ids, texts.texts[part], pairs, labels], schema=schema)


def read_texts(path: Path) -> Texts:
    """Read a file that `prepare` wrote.

    Raises InputError naming the file if it is missing, damaged or of another format.
    """
    return as_texts(read_prepared(path), path)


def read_prepared(path: Path) -> pa.Table:
    """A file that `prepare` wrote as a table, which takes less memory. Raises InputError as `read_texts` does."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; run the prepare stage first")
    table = read_table(path, (), "prepare")
    with _naming(path):
        metadata = json.loads((table.schema.metadata or {})[b"l2a"])
        if metadata["format"] != FORMAT:
            raise ValueError(f"format {metadata['format']}, accepted: {FORMAT}")
        if not table.schema.equals(_schema(regression=not metadata["labels"])):
            raise ValueError(f"columns {', '.join(f'{field.name}: {field.type}' for field in table.schema)}")
    return table


@lru_cache(maxsize=1)
def read_prepared_once(path: Path, _: str) -> pa.Table:
    """`read_prepared`, once for all pieces of a file.

    A hash is part of the key: the file may change while a worker lives.
    """
    return read_prepared(path)


def as_texts(table: pa.Table, path: Path) -> Texts:
    """The texts of a table that `read_prepared` returned, or of some of its rows. Raises InputError naming the file."""
    with _naming(path):
        metadata = json.loads(table.schema.metadata[b"l2a"])
        names = [str(name) for name in metadata["labels"]]
        ids, texts, pairs, values = (column.to_pylist() for column in table.columns)
        labels = no_labels(len(ids), names)
        if metadata.get("domain") != "unlabelled":
            labels = _read_labels(values, names)
        elif any(value is not None for value in values):
            raise ValueError("a label in the domain unlabelled")
    return Texts(ids=ids, texts=texts, pairs=second_texts(pairs, path), labels=labels, names=names)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn what is raised where a file is not what `prepare` writes into InputError naming the file."""
    try:
        yield
    except (pa.ArrowException, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a file of prepared texts, or damaged ({one_line(error)})") from error


def _read_labels(values: Sequence[Any], names: Sequence[str]) -> Labels:
    """Raises KeyError, TypeError or ValueError if one is missing or not a class."""
    if names:
        index = {name: position for position, name in enumerate(names)}
        return np.asarray([index[value] for value in values], dtype=np.int64)
    numbers = np.asarray(values, dtype=np.float32)
    if not np.isfinite(numbers).all():
        raise ValueError("a label that is missing or not finite")
    return numbers


def second_texts(column: Sequence[str | None], path: Path) -> list[str] | None:
    """The second texts, or None if no row has one. Raises InputError naming the file if only some rows have one."""
    pairs = [text for text in column if text is not None]
    return pairs if are_pairs(len(pairs), len(column), path) else None


def are_pairs(seconds: int, rows: int, path: Path) -> bool:
    """Whether rows are pairs: so many have a second text. Raises InputError naming the file if only some do."""
    if seconds not in (0, rows):
        raise InputError(f"{path}: {seconds:,} of {rows:,} rows have a second text; accepted: all or none")
    return seconds > 0


def _schema(*, regression: bool) -> pa.Schema:
    label = pa.float64() if regression else pa.string()
    return pa.schema([("id", pa.string()), ("text", pa.string()), ("text_pair", pa.string()), ("label", label)])
