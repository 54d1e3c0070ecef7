"""Which neighbours to show, and the artifacts that are joined to them."""

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

from pipeline.augment.selection import matching_selection
from pipeline.augment.shards import check_task, shards
from pipeline.data.texts import read_texts
from pipeline.errors import InputError
from pipeline.params.types import Domain
from pipeline.storage.columns import AUGMENTED
from pipeline.storage.parquet import read_schema, scan

COLUMNS = tuple(column.name for column in AUGMENTED)


@dataclass(frozen=True)
class ArtifactPaths:
    """The artifacts' paths; None for those that do not exist yet.

    Args:
        prepared: names the classes; read only if there is a cache or a student.
        generator: its vocabulary is part of Eq. 11.
    """

    augmented: Path
    prepared: Path
    cache: Path | None = None
    selection: Path | None = None
    student: Path | None = None
    generator: Path | None = None

    @cached_property
    def names(self) -> list[str]:
        """The classes in order, none in regression. Raises InputError if the shards are of another task."""
        names = read_texts(self.prepared / "train.parquet").names
        label = read_schema(shards(self.augmented)[0], COLUMNS, "augment").field("label").type
        check_task(self.augmented, label, names, self.prepared)
        return names

    @cached_property
    def sampling_params(self) -> dict[str, Any]:
        """The params that the neighbours were drawn with. Raises InputError if the first shard does not name them."""
        shard = shards(self.augmented)[0]
        try:
            metadata = read_schema(shard, COLUMNS, "augment").metadata or {}
            params = json.loads(metadata[b"l2a"])["params"]
            return {**params, "max_length": int(params["max_length"])}
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{shard}: its metadata has no params; accepted: a file that the augment stage wrote"
            ) from error

    @cached_property
    def selection_table(self) -> pa.Table | None:
        """`id`, `pi` and `kept` of every neighbour; None without a selection, or if it was made for others."""
        if self.selection is None:
            return None
        matching = matching_selection(self.selection, self.augmented, ["pi", "kept"])
        return None if matching is None else matching[0]


@dataclass(frozen=True)
class Filter:
    """Which neighbours to show: those that match all that is not None.

    Args:
        kept: whether the selector kept them in the last epoch.
    """

    domain: Domain | None = None
    original: str | None = None
    distance: int | None = None
    kept: bool | None = None

    def expression(self, paths: ArtifactPaths) -> Any:
        """The filter as an expression of pyarrow.dataset; None if it lets everything pass.

        Raises InputError if it needs a selection and there is none, or only one made for other neighbours.
        """
        values = {"domain": self.domain, "original_id": self.original, "distance": self.distance}
        parts = [ds.field(column) == value for column, value in values.items() if value is not None]
        if self.kept is not None:
            if paths.selection is None:
                raise InputError(f"{self}: there is no selection.parquet yet; run the distill stage first")
            selection = paths.selection_table
            if selection is None:
                raise InputError(
                    f"{self}: {paths.selection} was made for other neighbours than those in {paths.augmented}; "
                    "run the distill stage again"
                )
            parts.append(ds.field("id").isin(_ids(selection.filter(pc.field("kept") == self.kept).to_batches())))
        return reduce(and_, parts) if parts else None

    def __str__(self) -> str:
        """As command-line options."""
        values = {"domain": self.domain, "original": self.original, "distance": self.distance}
        options = [f"--{name} {value}" for name, value in values.items() if value is not None]
        return " ".join([*options, *([] if self.kept is None else ["--kept" if self.kept else "--dropped"])])


@dataclass(frozen=True)
class Matches:
    """The neighbours that match a filter.

    Args:
        where: the filter, as `scan` takes it.
        ids: of each shard's matches, in the order of its rows.
    """

    where: Any
    ids: dict[Path, pa.Array]

    def __len__(self) -> int:
        """How many match."""
        return sum(map(len, self.ids.values()))


def find_matches(filter_: Filter, paths: ArtifactPaths) -> Matches:
    """Find the neighbours that match. Raises InputError if there are none."""
    files = shards(paths.augmented)
    for file in files:
        read_schema(file, COLUMNS, "augment")
    columns, where = ["id", "original_id", "domain", "distance"], filter_.expression(paths)
    matches = Matches(where, {file: _ids(scan([file], columns, "augment", where)) for file in files})
    if len(matches):
        return matches
    if filter_.original is not None:
        same_original = ds.field("original_id") == filter_.original
        if next(scan(files, ["original_id"], "augment", same_original), None) is None:
            first = next(scan(files, ["original_id"], "augment"), None)
            example = "" if first is None else f"; accepted: an original's id, such as {first['original_id'][0]}"
            raise InputError(f"--original: {paths.augmented} has no neighbours of {filter_.original!r}{example}")
    raise InputError(f"{paths.augmented}: no neighbours{f' that match {filter_}' if str(filter_) else ''}")


def _ids(batches: Iterable[pa.RecordBatch]) -> pa.Array:
    ids = pa.chunked_array([batch["id"] for batch in batches], pa.string()).combine_chunks()
    return ids if isinstance(ids, pa.Array) else pa.concat_arrays(ids.chunks)
