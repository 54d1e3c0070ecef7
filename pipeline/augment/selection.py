"""π and kept of each neighbour: selection.parquet, if it was made for these shards."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.augment.shards import read_augmented
from pipeline.storage.fingerprint import folder_hash
from pipeline.storage.parquet import read_table


def matching_selection(selection: Path, augmented: Path, columns: Sequence[str]) -> pa.Table | None:
    """The selection's `id` and `columns`, a row for each neighbour in the order of the shards.

    Returns None if the selection was made for other neighbours: its metadata have another hash of the shards, or its
    ids are not theirs. Raises InputError if a file is missing or damaged, or lacks a column.
    """
    table = read_table(selection, ["id", *columns], "distill")
    shards_hash = (table.schema.metadata or {}).get(b"augmented", b"").decode()
    if shards_hash not in ("", folder_hash(augmented, "*.parquet")):
        return None
    ids = read_augmented(augmented, ["id"])["id"]
    rows = pc.index_in(ids, value_set=table["id"])
    if len(table) != len(ids) or rows.null_count:
        return None
    return table.take(rows).combine_chunks()
