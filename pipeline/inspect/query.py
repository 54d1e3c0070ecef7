"""Which neighbours somebody wants to see, and where all that is known of them lies."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import and_
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from pipeline.augment.shards import check_task, read_schema, scan, shards
from pipeline.data.texts import read_texts
from pipeline.errors import InputError
from pipeline.params.types import Domain
from pipeline.storage.fingerprint import folder_hash
from pipeline.storage.parquet import read_table

# Those of pipeline.augment.augment, which takes seconds to import.
COLUMNS = (
    "id", "original_id", "domain", "text", "text_pair", "original_text", "original_text_pair", "label", "distance",
    "length", "positions", "old_words", "new_words", "log_p_distance", "log_p_positions", "log_p_words", "log_p",
)  # fmt: skip


@dataclass(frozen=True)
class ArtifactPaths:
    """Where the artifacts lie; None for what is not there yet.

    Args:
        prepared: names the classes; asked for only if there is a cache or a student.
        generator: its vocabulary is part of Eq. 11.
    """

    augmented: Path
    prepared: Path
    cache: Path | None = None
    selection: Path | None = None
    student: Path | None = None
    generator: Path | None = None

    def names(self) -> list[str]:
        """The classes in order, none in regression. Raises InputError if the shards are of another task."""
        names = read_texts(self.prepared / "train.parquet").names
        label = read_schema(shards(self.augmented)[0], COLUMNS, "augment").field("label").type
        check_task(self.augmented, label, names, self.prepared)
        return names

    def drawn_with(self) -> dict[str, Any]:
        """The params that the neighbours were drawn with. Raises InputError if the first shard does not tell them."""
        shard = shards(self.augmented)[0]
        try:
            metadata = read_schema(shard, COLUMNS, "augment").metadata or {}
            params = json.loads(metadata[b"l2a"])["params"]
            return {**params, "max_length": int(params["max_length"])}
        except (KeyError, TypeError, ValueError):
            raise InputError(
                f"{shard}: its metadata has no params; accepted: a file that the augment stage wrote"
            ) from None

    @cached_property
    def judged(self) -> pa.Table | None:
        """`id`, `pi` and `kept` of every neighbour; None if nobody has selected yet, or among other neighbours."""
        if self.selection is None:
            return None
        told = read_table(self.selection, ["id", "pi", "kept"], "distill")
        noted = (told.schema.metadata or {}).get(b"augmented", b"").decode()
        if noted not in ("", folder_hash(self.augmented, "*.parquet")):
            return None
        drawn = _ids(scan(shards(self.augmented), ["id"], "augment"))
        same = len(told) == len(drawn) and not pc.index_in(drawn, value_set=told["id"]).null_count
        return told if same else None


@dataclass(frozen=True)
class Filter:
    """Which neighbours: those that agree with all that is not None.

    Args:
        kept: whether the selector kept them in the last epoch.
    """

    domain: Domain | None = None
    original: str | None = None
    distance: int | None = None
    kept: bool | None = None

    def where(self, places: ArtifactPaths) -> Any:
        """As an expression of pyarrow.dataset; None if all are wanted.

        Raises InputError if it hangs on a selection and there is none of these neighbours.
        """
        asked = {"domain": self.domain, "original_id": self.original, "distance": self.distance}
        parts = [ds.field(column) == value for column, value in asked.items() if value is not None]
        if self.kept is not None:
            if places.selection is None:
                raise InputError(f"{self}: there is no selection.parquet yet; run the distill stage first")
            judged = places.judged
            if judged is None:
                raise InputError(
                    f"{self}: {places.selection} is of other neighbours than those in {places.augmented}; "
                    "run the distill stage again"
                )
            parts.append(ds.field("id").isin(_ids(judged.filter(pc.field("kept") == self.kept).to_batches())))
        return reduce(and_, parts) if parts else None

    def __str__(self) -> str:
        """As a user would write it."""
        asked = {"domain": self.domain, "original": self.original, "distance": self.distance}
        said = [f"--{name} {value}" for name, value in asked.items() if value is not None]
        return " ".join([*said, *([] if self.kept is None else ["--kept" if self.kept else "--dropped"])])


@dataclass(frozen=True)
class Matches:
    """The neighbours that are wanted.

    Args:
        where: what picks them, as `scan` takes it.
        ids: of each shard's, as they lie there.
    """

    where: Any
    ids: dict[Path, pa.Array]

    def __len__(self) -> int:
        """How many they are."""
        return sum(map(len, self.ids.values()))


def choose(wanted: Filter, places: ArtifactPaths) -> Matches:
    """Find the neighbours that are wanted. Raises InputError if there are none."""
    files = shards(places.augmented)
    for file in files:
        read_schema(file, COLUMNS, "augment")
    columns, where = ["id", "original_id", "domain", "distance"], wanted.where(places)
    chosen = Matches(where, {file: _ids(scan([file], columns, "augment", where)) for file in files})
    if len(chosen):
        return chosen
    if wanted.original is not None:
        of_it = ds.field("original_id") == wanted.original
        if next(scan(files, ["original_id"], "augment", of_it), None) is None:
            first = next(scan(files, ["original_id"], "augment"), None)
            such = "" if first is None else f"; accepted: an original's id, such as {first['original_id'][0]}"
            raise InputError(f"--original: {places.augmented} has no neighbours of {wanted.original!r}{such}")
    raise InputError(f"{places.augmented}: no neighbours{f' that fit {wanted}' if str(wanted) else ''}")


def _ids(batches: Iterable[pa.RecordBatch]) -> pa.Array:
    found = pa.chunked_array([batch["id"] for batch in batches], pa.string()).combine_chunks()
    return found if isinstance(found, pa.Array) else pa.concat_arrays(found.chunks)
