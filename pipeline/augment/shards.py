"""The shards of neighbours: their names, and all of a folder read at once."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from pipeline.data.texts import DOMAINS
from pipeline.errors import InputError
from pipeline.storage.parquet import concatenate, read_schema, read_table


def shard_name(domain: str, shard: int, shards: int) -> str:
    """`target-00000-of-00008.parquet`."""
    return f"{domain}-{shard:05d}-of-{shards:05d}.parquet"


def shards(folder: Path) -> list[Path]:
    """The folder's shards, sorted by name.

    Raises InputError if there are none, if one has another's name, or if one is missing.
    """
    if not folder.is_dir():
        problem = "a file; accepted: a folder of shards" if folder.exists() else "no such folder"
        raise InputError(f"{folder}: {problem}; run the augment stage first")
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise InputError(f"{folder}: no shards; run the augment stage first")
    totals = set()
    for file in files:
        name = _recorded_name(file)
        if name is None:
            continue
        if name != file.name:
            raise InputError(f"{file}: its metadata names {name}; run the augment stage again")
        totals |= {int(total) for total in re.findall(r"-of-(\d+)\.parquet$", name)}
    for total in sorted(totals):
        expected = {folder / shard_name(domain, shard, total) for domain in DOMAINS for shard in range(total)}
        missing = expected.difference(files)
        if missing:
            raise InputError(f"{min(missing)}: missing; run the augment stage again")
    return files


def _recorded_name(shard: Path) -> str | None:
    """The name that a shard was written under; None if its metadata have none, as in a file made by hand."""
    metadata = read_schema(shard, (), "augment").metadata or {}
    try:
        return str(json.loads(metadata[b"l2a"])["shard"])
    except (KeyError, TypeError, ValueError):
        return None


def read_augmented(folder: Path, columns: Sequence[str] = ()) -> pa.Table:
    """All neighbours at once, in the order of the shards' names. Raises InputError as `shards` does."""
    table = concatenate({shard: read_table(shard, columns, "augment") for shard in shards(folder)}, "augment")
    # The first shard's metadata are not those of all.
    return table.replace_schema_metadata()


def check_task(augmented: Path, label: pa.DataType, names: Sequence[str], prepared: Path) -> None:
    """Raise InputError if the shards' labels are numbers where the prepared texts have classes, or the reverse."""
    if pa.types.is_floating(label) == bool(names):
        kinds = ("numbers", "classes") if names else ("classes", "numbers")
        raise InputError(
            f"{augmented}: its labels are {kinds[0]}, those of {prepared} are {kinds[1]}; run the augment stage again"
        )
