"""The stage `prepare`: from the tables a user named to the texts of source, train, validation, test and unlabelled."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np

from pipeline.addresses.commits import recorded
from pipeline.data.source_sentences import draw_sentences
from pipeline.data.splitting import Indices, sample, strata
from pipeline.data.tables import Tables, read_tables
from pipeline.data.texts import Labels, Texts, no_labels, write_texts
from pipeline.data.usable import Usable, counts, keys
from pipeline.errors import InputError
from pipeline.params.schema import Params
from pipeline.params.types import Domain
from pipeline.storage.atomic import publish_folder
from pipeline.storage.json_file import write_json

FILES: dict[str, Domain] = {
    "source": "source",
    "train": "target",
    "validation": "target",
    "test": "target",
    "teacher_source": "source",
    "unlabelled": "unlabelled",
}
"""The prepared files and their domains.

`source` is what the student is taught on, `teacher_source` what the teacher learns from: the same, or the whole texts
of those sentences.
"""
REASONS = ("leaked", "duplicate", "conflicting", "tied", "averaged", "mirrored", "empty", "unlabelled", "in_train")


class RowIds(Sequence[str]):
    """The ids of a table's rows, such as `source-000001`, each made where it is read: millions take much memory."""

    def __init__(self, domain: Domain, rows: Indices) -> None:
        self.domain, self.rows = domain, rows

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.rows)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    def __getitem__(self, at: int | slice) -> str | list[str]:
        """A row's id, or those of some rows."""
        if isinstance(at, slice):
            return [f"{self.domain}-{row:06d}" for row in self.rows[at].tolist()]
        return f"{self.domain}-{self.rows[at]:06d}"


@dataclass(frozen=True)
class Prepared:
    """What the stage writes.

    Args:
        texts: of each of FILES.
        report: the tables' sizes and labels, for `metrics/data.json`.
    """

    texts: dict[str, Texts]
    report: dict[str, Any]

    def summary(self) -> str:
        """The sizes, and how many rows were dropped, in a few words."""
        sizes = ", ".join(
            f"{split['rows']:,} {name.replace('_', ' ')}" for name, split in self.report["splits"].items()
        )
        every = self.report["dropped"].values()
        dropped = {
            reason: sum(each.get(reason, 0) for each in every)
            for reason in REASONS
            if any(reason in each for each in every)
        }
        return f"{sizes} texts ({counts(dropped)} dropped)"


def prepare(params: Params, *, out: Path, metrics: Path) -> str:
    """Write each of FILES into `out`, and their sizes and labels into `metrics`.

    Returns a summary in a few words. Raises InputError, before anything is written, if a table, a label or a size
    cannot be used.
    """
    tables = read_tables(params)
    other_classes = tables.source_names != tables.names
    prepared = draw(params, tables)
    # The tables hold more rows and columns than are written.
    del tables
    with publish_folder(out) as folder:
        for name, domain in FILES.items():
            write_texts(folder / f"{name}.parquet", prepared.texts[name], domain)
    write_json(metrics, prepared.report)
    alone = params.teacher.domains == "auto" and other_classes
    end = "; the source has other classes than the target, so the teacher trains on the target alone" if alone else ""
    return f"{prepared.summary()}, in {out}{end}"


def draw(params: Params, tables: Tables) -> Prepared:
    """Draw the rows and sentences that are used of all that can be.

    Raises InputError if there are fewer than params ask for.
    """
    data, target, source, unlabelled = params.data, tables.target, tables.source, tables.unlabelled
    drawn = _draw(params, "source", source, strata(tables.source_labels))
    # A domain without a table has a file, too, with no rows.
    texts = {"source": _texts(source, drawn, tables.source_labels, tables.source_names, "source")}
    split = {"train": tables.split.train, "validation": tables.split.validation, "test": tables.split.test}
    for name, part in split.items():
        texts[name] = _texts(target, part, tables.labels, tables.names, "target")
    used = sum(map(len, split.values()))
    found = {
        "source": (source.read, source.dropped, len(source.frame) - len(drawn)),
        "target": (target.read, target.dropped, len(target.frame) - used),
    }
    reported = list(texts)

    texts["teacher_source"] = texts["source"]
    if data.source is not None and data.source.sentences is not None:
        sentences = draw_sentences(texts["source"], tables.held_out, data.source.sentences, params.seed)
        texts["source"] = sentences.texts
        found["source_sentences"] = (sentences.read, sentences.dropped, sentences.unused)
        reported.append("teacher_source")
    none = no_labels(len(unlabelled.frame), tables.names)
    drawn = _draw(params, "unlabelled", unlabelled, np.zeros(len(none), dtype=np.int64))
    texts["unlabelled"] = _texts(unlabelled, drawn, none, tables.names, "unlabelled")
    if data.unlabelled is not None:
        found["unlabelled"] = (unlabelled.read, unlabelled.dropped, len(unlabelled.frame) - len(drawn))
        reported.append("unlabelled")

    named = {"source": data.source, "target": data.target, "unlabelled": data.unlabelled}
    report = {
        "task": params.task,
        "commits": {name: recorded(f"data.{name}", table.path) for name, table in named.items() if table},
        "labels": tables.names,
        "splits": {name: _summary(texts[name], FILES[name]) for name in reported},
        "read": {name: read for name, (read, _, _) in found.items()},
        "dropped": {name: dropped for name, (_, dropped, _) in found.items()},
        "unused": {name: unused for name, (_, _, unused) in found.items()},
    }
    return Prepared(texts, report)


def _draw(params: Params, domain: Literal["source", "unlabelled"], usable: Usable, strata: Indices) -> Indices:
    """The rows that are used of a domain's table: as many as its `rows`."""
    table = getattr(params.data, domain)
    count = len(strata) if table is None or table.rows is None else table.rows
    if count > len(strata):
        raise InputError(
            f"data.{domain}.rows: got {count:,}; {len(strata):,} of {usable.read:,} rows can be used "
            f"({counts(usable.dropped)})"
        )
    return sample(strata, keys(usable), count, params.seed)


def _texts(usable: Usable, part: Indices, labels: Labels, names: list[str], domain: Domain) -> Texts:
    frame = usable.frame
    return Texts(
        ids=RowIds(domain, frame["row"].to_numpy()[part]),
        texts=frame["text"].iloc[part].tolist(),
        pairs=frame["text_pair"].iloc[part].tolist() if "text_pair" in frame else None,
        labels=labels[part],
        names=names,
    )


def _summary(texts: Texts, domain: Domain) -> dict[str, Any]:
    """Rows of a split, and the distribution of its labels."""
    if domain == "unlabelled":
        return {"rows": len(texts)}
    if texts.names:
        counts = np.bincount(texts.labels, minlength=len(texts.names))
        return {"rows": len(texts), "labels": dict(zip(texts.names, counts.tolist(), strict=True))}
    if not len(texts):
        return {"rows": 0}
    values = texts.labels.astype(np.float64)
    spread = {"mean": values.mean(), "sd": values.std(), "min": values.min(), "max": values.max()}
    return {"rows": len(texts), "labels": {name: round(float(value), 6) for name, value in spread.items()}}
