"""What the selector kept and dropped, and examples of both."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup

from pipeline.augment.shards import read_augmented
from pipeline.errors import InputError
from pipeline.report import charts
from pipeline.report.marking import marked
from pipeline.report.markup import element, joined
from pipeline.storage.parquet import read_table

EXAMPLES = 6
BINS = 24


@dataclass(frozen=True)
class Share:
    """Of so many neighbours of a kind, how many the last epoch kept, and π of them."""

    of: str
    neighbours: int
    kept: int
    lowest: float
    mean: float
    highest: float

    @property
    def share(self) -> float:
        """The share kept."""
        return self.kept / self.neighbours


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
    """What the page tells of the selector, examples of what it kept and dropped among it; a list may be empty."""

    domains: list[Share]
    distances: list[Share]
    charts: list[Markup]
    kept: list[Example]
    dropped: list[Example]

    @property
    def spread(self) -> float:
        """How far apart the highest and the lowest π are."""
        return max(share.highest for share in self.domains) - min(share.lowest for share in self.domains)


def read_selection(selection: Path, augmented: Path) -> Selection | None:
    """Gather it from π of every neighbour and the neighbours themselves; None if there are none.

    Raises InputError if the two are not of one run.
    """
    chosen = read_table(selection, ("id", "domain", "pi", "kept"), "distill")
    drawn = read_augmented(augmented, ("id", "distance"))
    if not len(chosen):
        return None
    distance = dict(zip(*(drawn[name].to_pylist() for name in ("id", "distance")), strict=True))
    ids: list[str] = chosen["id"].to_pylist()
    if strange := next((id_ for id_ in ids if id_ not in distance), None):
        raise InputError(f"{selection}: neighbour {strange!r} is not in {augmented}; run the distill stage again")
    pi, kept = chosen["pi"].to_numpy().astype(np.float64), chosen["kept"].to_numpy()
    far = np.array([-1 if distance[id_] is None else distance[id_] for id_ in ids])
    domains = np.array(chosen["domain"].to_pylist(), dtype=object)
    by_domain = [_share(f"{name} texts", domains == name, pi, kept) for name in sorted(set(domains))]
    by_distance = [_share(str(d), far == d, pi, kept) for d in sorted(set(far[far >= 0].tolist()))]
    drawings = []
    if by_distance:
        drawings.append(_kept_by_distance(by_distance))
    if pi.max() > pi.min():
        drawings.append(_histogram(pi))
    # What is kept is drawn by π: where π hardly differs, neighbours at either end of it may all be kept. So the most
    # telling are of the kept those with the highest π and of the dropped those with the lowest; of equals the first id.
    names = np.array(ids)
    best, worst = np.lexsort((names, -pi)), np.lexsort((names, pi))
    examples = [_examples(chosen, rows[:EXAMPLES], augmented) for rows in (best[kept[best]], worst[~kept[worst]])]
    return Selection(by_domain, by_distance, drawings, *examples)


def _share(of: str, rows: Any, pi: Any, kept: Any) -> Share:
    own = pi[rows]
    return Share(of, len(own), int(kept[rows].sum()), float(own.min()), float(own.mean()), float(own.max()))


def _kept_by_distance(shares: Sequence[Share]) -> Markup:
    spans = [(float(share.of) - 0.5, float(share.of) + 0.5, share.share) for share in shares]
    return charts.bars(
        spans,
        title="Share kept, by edit distance",
        note="The counts are in the table.",
        x="words changed",
        y="share kept",
    )


def _histogram(pi: Any) -> Markup:
    counts, edges = np.histogram(pi, bins=BINS)
    spans = [
        (float(left), float(right), float(n)) for left, right, n in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    return charts.bars(
        spans, title="How π is spread", note="The axis spans what occurs.", x="π: chance to be kept", y="neighbours"
    )


def _examples(chosen: pa.Table, rows: Any, augmented: Path) -> list[Example]:
    """Neighbours in the order of `rows`, with their texts."""
    wanted = chosen.take(pa.array(rows)).to_pylist()
    ids = pa.array([row["id"] for row in wanted], pa.string())
    columns = ("id", "label", "text", "text_pair", "original_text", "original_text_pair", "old_words", "new_words")
    texts: dict[str, dict[str, Any]] = {}
    for shard in sorted(augmented.glob("*.parquet")):
        table = read_table(shard, columns, "augment")
        texts |= {row["id"]: row for row in table.filter(pc.is_in(table["id"], ids)).to_pylist()}
    return [
        Example(
            row["id"],
            row["domain"],
            _label(texts[row["id"]]["label"]),
            row["pi"],
            _changes(texts[row["id"]]),
        )
        for row in wanted
    ]


def _label(label: str | float) -> str:
    return label if isinstance(label, str) else f"{label:.3f}"


def _changes(row: dict[str, Any]) -> Markup:
    """A paragraph for each text of a neighbour."""
    if row["text_pair"] is None:
        # Of a pair it is not known which words are of which text.
        return element("p", marked(row["original_text"], row["text"], row["old_words"], row["new_words"]), dir="auto")
    sides = [(row["original_text"], row["text"]), (row["original_text_pair"], row["text_pair"])]
    return joined(*(element("p", marked(old, new), dir="auto") for old, new in sides))
