"""π and kept of each text that the selector may drop: selection.parquet, if it was made for these shards."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.augment.shards import read_augmented
from pipeline.storage.fingerprint import folder_hash
from pipeline.storage.parquet import read_table


def matching_selection(selection: Path, augmented: Path, columns: Sequence[str]) -> tuple[pa.Table, pa.Table] | None:
    """The selection's `id` and `columns`: of each neighbour, in the order of the shards, and of each original in it.

    Returns None if the selection was made for other neighbours: its metadata have another hash of the shards, or it
    lacks one of their ids. Raises InputError if a file is missing or damaged, or lacks a column.
    """
    table = read_table(selection, ["id", *columns], "distill")
    shards_hash = (table.schema.metadata or {}).get(b"augmented", b"").decode()
    if shards_hash not in ("", folder_hash(augmented, "*.parquet")):
        return None
    ids = read_augmented(augmented, ["id"])["id"]
    rows = pc.index_in(ids, value_set=table["id"])
    if rows.null_count:
        return None
    originals = table.filter(pc.invert(pc.is_in(table["id"], value_set=ids)))
    return table.take(rows).combine_chunks(), originals.combine_chunks()
