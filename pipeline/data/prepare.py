"""The stage `prepare`: from the tables a user named to the texts of source, train, validation, test and unlabelled."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pipeline.addresses.commits import recorded
from pipeline.data.labels import class_indices, class_names, numbers, spelling
from pipeline.data.leaks import normalise
from pipeline.data.source_sentences import draw_sentences
from pipeline.data.splitting import Indices, Split, sample, split_target, strata
from pipeline.data.texts import Labels, Texts, no_labels, write_texts
from pipeline.data.usable import Usable, counts, keys, read_labelled, read_unlabelled
from pipeline.errors import InputError
from pipeline.params.data import Data, Table
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


def prepare(params: Params, *, out: Path, metrics: Path) -> str:
    """Write each of FILES into `out`, and their sizes and labels into `metrics`.

    Returns a summary in a few words. Raises InputError, before anything is written, if a table, a label or a size
    cannot be used.
    """
    data = params.data
    _check_pairs(data)
    regression = params.task == "regression"
    target = read_labelled(data.target, "target", partly=of_one_table(data), regression=regression)
    names, target_labels = labels_of(params, target)
    split = _split(params, target, target_labels, names)
    held_out = [target.normalised[position] for part in (split.validation, split.test) for position in part]
    # A domain without a table has a file, too, with no rows.
    source = unlabelled = Usable(target.frame[:0], [], [], 0, dict.fromkeys(target.dropped, 0))

    if data.source is not None:
        source = read_labelled(data.source, "source", held_out, regression=regression)
    source_names, source_labels = _source_labels(params, source, names)
    drawn = _draw(params, "source", source, strata(source_labels))
    texts = {"source": _texts(source, drawn, source_labels, source_names, "source")}
    for name, part in (("train", split.train), ("validation", split.validation), ("test", split.test)):
        texts[name] = _texts(target, part, target_labels, names, "target")
    used = sum(len(texts[name]) for name in ("train", "validation", "test"))
    tables = {
        "source": (source.read, source.dropped, len(source.frame) - len(drawn)),
        "target": (target.read, target.dropped, len(target.frame) - used),
    }
    reported = list(texts)

    texts["teacher_source"] = texts["source"]
    if data.source is not None and data.source.sentences is not None:
        sentences = draw_sentences(texts["source"], held_out, data.source.sentences, params.seed)
        texts["source"] = sentences.texts
        tables["source_sentences"] = (sentences.read, sentences.dropped, sentences.unused)
        reported.append("teacher_source")
    if data.unlabelled is not None:
        unlabelled = read_unlabelled(data.unlabelled, held_out, [target.normalised[row] for row in split.train])
        reported.append("unlabelled")
    none = no_labels(len(unlabelled.frame), names)
    drawn = _draw(params, "unlabelled", unlabelled, np.zeros(len(none), dtype=np.int64))
    texts["unlabelled"] = _texts(unlabelled, drawn, none, names, "unlabelled")
    if data.unlabelled is not None:
        tables["unlabelled"] = (unlabelled.read, unlabelled.dropped, len(unlabelled.frame) - len(drawn))

    named = {"source": data.source, "target": data.target, "unlabelled": data.unlabelled}
    report = {
        "task": params.task,
        "commits": {name: recorded(f"data.{name}", table.path) for name, table in named.items() if table},
        "labels": names,
        "splits": {name: _summary(texts[name], FILES[name]) for name in reported},
        "read": {name: read for name, (read, _, _) in tables.items()},
        "dropped": {name: dropped for name, (_, dropped, _) in tables.items()},
        "unused": {name: unused for name, (_, _, unused) in tables.items()},
    }
    with publish_folder(out) as folder:
        for name, domain in FILES.items():
            write_texts(folder / f"{name}.parquet", texts[name], domain)
    write_json(metrics, report)
    sizes = ", ".join(f"{len(texts[name]):,} {name.replace('_', ' ')}" for name in reported)
    every = [dropped for _, dropped, _ in tables.values()]
    dropped = {
        reason: sum(each.get(reason, 0) for each in every)
        for reason in REASONS
        if any(reason in each for each in every)
    }
    alone = params.teacher.domains == "auto" and source_names != names
    end = "; the source has other classes than the target, so the teacher trains on the target alone" if alone else ""
    return f"{sizes} texts ({counts(dropped)} dropped), in {out}{end}"


def labels_of(params: Params, target: Usable) -> tuple[list[str], Labels]:
    """The classes in order and each row's class index, or no classes and numbers. Raises InputError naming the row."""
    column, labels, rows = _label_column(params.data.target, target)
    if params.task == "classification":
        names = class_names(labels, params.data.labels, column)
        return names, class_indices(labels, rows, names, column, "data.labels")
    if params.data.labels is not None:
        raise InputError("data.labels: regression has no classes; accepted: null, or task: classification")
    values = numbers(labels, rows, column)
    if (values == values[0]).all():
        raise InputError(f"{column}: every row has {values[0]}; accepted: numbers that differ")
    return [], values


def _source_labels(params: Params, source: Usable, names: list[str]) -> tuple[list[str], Labels]:
    """The source's classes and labels: the target's classes, or its own if the teacher need not train on the source."""
    if params.data.source is None:
        return names, np.zeros(0, dtype=np.int64 if names else np.float32)
    column, labels, rows = _label_column(params.data.source, source)
    if not names:
        return [], numbers(labels, rows, column)
    domains = params.teacher.domains
    if (domains == "auto" or "source" not in domains) and not set(map(spelling, labels)) <= set(map(spelling, names)):
        names = sorted(set(labels))
    key = "data.source.labels, or teacher.domains: [target] to leave the source's labels out"
    return names, class_indices(labels, rows, names, column, key)


def _label_column(table: Table, usable: Usable) -> tuple[str, Sequence[str], Sequence[int]]:
    """File and column for errors, the labels, and their row numbers."""
    column = f"{table.path}, column {table.columns.label!r}"
    return column, usable.frame["label"].tolist(), usable.frame["row"].tolist()


def _check_pairs(data: Data) -> None:
    tables: dict[str, Table | None] = {"source": data.source, "unlabelled": data.unlabelled}
    for domain, table in tables.items():
        if table is not None and (table.columns.text_pair is None) != (data.target.columns.text_pair is None):
            kinds = ["pairs" if each.columns.text_pair else "single texts" for each in (table, data.target)]
            whose = "the source has" if domain == "source" else "the unlabelled table has"
            raise InputError(
                f"data.{domain}.columns.text_pair: {whose} {kinds[0]} and the target {kinds[1]}; "
                "accepted: a second text in both or in neither"
            )


def of_one_table(data: Data) -> bool:
    """Whether the unlabelled texts are rows of the target's table, which then may lack labels."""
    if data.unlabelled is None:
        return False
    return all(getattr(data.unlabelled, name) == getattr(data.target, name) for name in ("path", "config", "split"))


def _split(params: Params, target: Usable, labels: Labels, names: list[str]) -> Split:
    groups = None
    if "groups" in target.frame:
        groups = [tuple(normalise(value) for value in values) for values in target.frame["groups"]]
    try:
        return split_target(params.data.target, strata(labels), keys(target), groups, names, params.seed)
    except InputError as error:
        if not any(target.dropped.values()):
            raise
        line = f"{error} ({counts(target.dropped)} of its {target.read:,} rows were dropped)"
        raise InputError(line) from error


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
    rows = usable.frame.iloc[part]
    return Texts(
        ids=[f"{domain}-{row:06d}" for row in rows["row"]],
        texts=rows["text"].tolist(),
        pairs=rows["text_pair"].tolist() if "text_pair" in rows else None,
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
