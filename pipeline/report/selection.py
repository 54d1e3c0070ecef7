"""What the selector kept and dropped, and examples of both."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup

from pipeline.augment.changes import changes
from pipeline.augment.selection import matching_selection
from pipeline.augment.shards import read_augmented
from pipeline.errors import InputError
from pipeline.report import charts
from pipeline.report.marking import marked
from pipeline.report.markup import element, joined
from pipeline.report.scores import format_in_unit
from pipeline.storage.parquet import read_table

EXAMPLES = 6
BINS = 24
TEXTS = (
    "id", "label", "text", "text_pair", "original_text", "original_text_pair", "old_spans", "new_spans",
)  # fmt: skip


@dataclass(frozen=True)
class Group:
    """The neighbours of a domain or an edit distance, or originals: how many the last epoch kept, and their π."""

    name: str
    texts: int
    kept: int
    lowest: float
    mean: float
    highest: float

    @property
    def share(self) -> float:
        """The share kept."""
        return self.kept / self.texts


@dataclass(frozen=True)
class Example:
    """A neighbour with its changes marked."""

    id: str
    domain: str
    label: str
    pi: float
    changes: Markup


@dataclass(frozen=True)
class Selection:
    """The page's section on the selector; each list may be empty."""

    domains: list[Group]
    originals: list[Group]
    distances: list[Group]
    charts: list[Markup]
    kept: list[Example]
    dropped: list[Example]

    @property
    def spread(self) -> float:
        """The difference between the highest and the lowest π."""
        groups = self.domains + self.originals
        return max(group.highest for group in groups) - min(group.lowest for group in groups)


def read_selection(selection: Path, augmented: Path) -> Selection | None:
    """Summarise π and kept of all neighbours and of the originals that may be dropped; None if there are neither.

    Raises InputError if the selection was made for other neighbours.
    """
    matching = matching_selection(selection, augmented, ("domain", "pi", "kept"))
    if matching is None:
        raise InputError(
            f"{selection}: made for other neighbours than those in {augmented}; run the distill stage again"
        )
    table, others = matching
    if not len(table) + len(others):
        return None
    originals = _by_domain(others)
    if not len(table):
        return Selection([], originals, [], [], [], [])
    pi, kept = _numbers(table)
    drawn = read_augmented(augmented, ("distance",))
    distance = np.array([-1 if d is None else d for d in drawn["distance"].to_pylist()])
    domains = _by_domain(table)
    distances = [_group(str(d), distance == d, pi, kept) for d in sorted(set(distance[distance >= 0].tolist()))]
    figures = []
    if distances:
        figures.append(_kept_by_distance(distances))
    if pi.max() > pi.min():
        figures.append(_histogram(pi))
    # kept is sampled with probability π: where π hardly differs, neighbours at either end may all be kept. So the
    # clearest examples are those kept with the highest π and those dropped with the lowest; at equal π the first ids.
    ids = np.array(table["id"].to_pylist())
    best, worst = np.lexsort((ids, -pi)), np.lexsort((ids, pi))
    best, worst = best[kept[best]][:EXAMPLES], worst[~kept[worst]][:EXAMPLES]
    examples = _examples(table, np.concatenate([best, worst]), augmented)
    return Selection(domains, originals, distances, figures, examples[: len(best)], examples[len(best) :])


def _by_domain(table: pa.Table) -> list[Group]:
    pi, kept = _numbers(table)
    domain = np.array(table["domain"].to_pylist(), dtype=object)
    return [_group(f"{name} texts", domain == name, pi, kept) for name in sorted(set(domain))]


def _numbers(table: pa.Table) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """π and kept of each row, (rows,)."""
    # Through lists, because pyarrow's to_numpy may import pandas.
    pi, kept = (table[name].to_pylist() for name in ("pi", "kept"))
    return np.array(pi, dtype=np.float64), np.array(kept, dtype=np.bool_)


def _group(name: str, rows: npt.NDArray[np.bool_], pi: npt.NDArray[np.float64], kept: npt.NDArray[np.bool_]) -> Group:
    pi = pi[rows]
    return Group(name, len(pi), int(kept[rows].sum()), float(pi.min()), float(pi.mean()), float(pi.max()))


def _kept_by_distance(groups: Sequence[Group]) -> Markup:
    bars = [(float(group.name) - 0.5, float(group.name) + 0.5, group.share) for group in groups]
    return charts.bars(
        bars,
        title="Share kept, by edit distance",
        note="The counts are in the table.",
        x="words changed",
        y="share kept",
    )


def _histogram(pi: npt.NDArray[np.float64]) -> Markup:
    counts, edges = np.histogram(pi, bins=BINS)
    bars = [(float(left), float(right), float(n)) for left, right, n in zip(edges[:-1], edges[1:], counts, strict=True)]
    return charts.bars(
        bars,
        title="Distribution of π",
        note="The axis covers the values that occur.",
        x="π: probability of being kept",
        y="neighbours",
    )


def _examples(table: pa.Table, rows: npt.NDArray[np.int64], augmented: Path) -> list[Example]:
    """Neighbours in the order of `rows`, with their texts."""
    # Slices, because pa.array of the rows would import pandas.
    chosen = pa.concat_tables([table.slice(0, 0), *(table.slice(row, 1) for row in rows)])
    neighbours: dict[str, dict[str, Any]] = {}
    for file in sorted(augmented.glob("*.parquet")):
        shard = read_table(file, TEXTS, "augment")
        in_shard = shard.filter(pc.is_in(shard["id"], value_set=chosen["id"]))
        neighbours |= {row["id"]: row for row in in_shard.to_pylist()}
    return [
        Example(
            row["id"],
            row["domain"],
            _label(neighbours[row["id"]]["label"]),
            row["pi"],
            _changes(neighbours[row["id"]]),
        )
        for row in chosen.to_pylist()
    ]


def _label(label: str | float | None) -> str:
    if label is None:
        return "no label"
    return label if isinstance(label, str) else format_in_unit(label)


def _changes(row: dict[str, Any]) -> Markup:
    """A paragraph for each text of a neighbour."""
    texts = ((row["original_text"], row["text"]), (row["original_text_pair"], row["text_pair"]))
    paragraphs = [marked(old, new, side) for (old, new), side in zip(texts, changes(row), strict=False)]
    return joined(*(element("p", paragraph, dir="auto") for paragraph in paragraphs))
