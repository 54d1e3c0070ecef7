"""The params proposed for a table with few labels, alone or beside a large table of a source domain."""

from dataclasses import dataclass
from typing import Any, Literal

from pipeline.data.leaks import normalise
from pipeline.data.quoting import listed, shown
from pipeline.errors import InputError
from pipeline.setup.columns import (
    EACH,
    Choose,
    Column,
    group_columns,
    label_column,
    read_columns,
    text_columns,
    texts_like,
)
from pipeline.setup.sizes import train_size
from pipeline.setup.unlabelled import rows_without_label, unlabelled_table

NEIGHBOURS = 4000
"""Neighbours of all target texts together, at most 20 of each: two cores draw and train on these in some minutes."""

TEACHER_TEXTS = 3200
"""Texts that a teacher trained on the target alone sees, in 3 to 20 epochs."""

MANY = 2000
"""Source texts, of which a deep teacher sees a quarter."""


@dataclass
class Table:
    """A table and the columns found in it.

    Args:
        labels: each value of the label column with its number of rows, the most frequent first.
        data: its section of params.yaml.
    """

    path: str
    texts: list[Column]
    label: Column
    labels: dict[str, int]
    data: dict[str, Any]


@dataclass
class Proposal:
    """The proposed params.

    Args:
        unlabelled: the section `data.unlabelled` of params.yaml; None without texts that have no labels.
        teacher_domains: the domains that the teacher is fine-tuned on.
        train: training rows of the target.
        notes: what was found and why it is proposed, one line each.
    """

    task: Literal["classification", "regression"]
    target: Table
    source: Table | None
    unlabelled: dict[str, Any] | None
    teacher_domains: list[str]
    train: int
    notes: list[str]

    @property
    def samples(self) -> dict[str, int]:
        """Neighbours of each text, by domain: the more texts, the fewer neighbours of each.

        None of the source's and the unlabelled texts, which are many: more of their own teach more than neighbours do.
        """
        return {"source": 0, "target": min(20, max(1, NEIGHBOURS // self.train)), "unlabelled": 0}

    def epochs(self, *, deep: bool) -> dict[str, float]:
        """The teacher's epochs, by domain: more if the target's texts are few, fewer if the source's are many.

        Args:
            deep: whether the teacher has many layers, which learn from fewer steps and take longer for each.
        """
        if self.source is None or "source" not in self.teacher_domains:
            return {"source": 0, "target": min(20, max(3, TEACHER_TEXTS // self.train))}
        if deep and len(self.source.label.cells) > MANY:
            return {"source": 0.25, "target": 4}
        return {"source": 1, "target": 4 if deep else 3}


def propose(target: str, source: str | None, choose: Choose, seed: int, unlabelled: str | None = None) -> Proposal:
    """Read one table to three and propose params for them.

    Args:
        target: address of the few labelled texts.
        source: address of the source domain's table.
        choose: is asked what the tables do not show.
        seed: of the splits; with groups the number of training rows depends on it.
        unlabelled: address of a table of the target domain's texts without labels; without it they are the target's
            rows that have no label, if there are enough.

    Raises InputError if a table cannot be used or is too small.
    """
    columns = read_columns(target)
    few = _table(target, columns, choose)
    task = _task(few, choose)
    notes = [_description("target", few, task)]
    if unlabelled is None:
        more = rows_without_label(few.texts, few.label, target, notes)
    else:
        more = unlabelled_table(unlabelled, few.texts, target, choose, notes)
    if task == "classification":
        _drop_rare(few, notes, taken=more is not None and unlabelled is None)
    groups = group_columns(columns, few.texts, few.label)
    train = train_size(task, few.data, groups, seed, notes, more)
    if source is None:
        return Proposal(task, few, None, more, ["target"], train, [*notes, "source: none"])
    rich = _table(source, read_columns(source), choose, like=few)
    if task == "regression" and not rich.label.numbers:
        raise InputError(f"{source}, column {rich.label.shown()}: no numbers; accepted: numbers, as in {target}")
    notes.append(_description("source", rich, task))
    same = _same_labels(rich, few, choose, notes) if task == "classification" else _same_scale(rich, few, notes)
    return Proposal(task, few, rich, more, ["source", "target"] if same else ["target"], train, notes)


def _table(path: str, columns: list[Column], choose: Choose, like: Table | None = None) -> Table:
    """Find a table's columns; columns named as those of the table `like` are taken first."""
    if like is None:
        texts = text_columns(columns, path, choose)
    else:
        texts = texts_like(columns, path, like.texts, like.path, choose)
    label = label_column(columns, texts, path, choose, like.label.name if like else "")
    # A column `spam` with the labels spam and ham is a header, unless the text column's name is several words long.
    if label.name.strip() in label.counts and len(texts[0].name.split()) > 2:
        raise InputError(
            f"{path}: its first line looks like a row: column {shown(label.name)} has {shown(label.name)} as a label "
            f"of {label.counts[label.name.strip()]:,} rows; accepted: a table whose first line names its columns"
        )
    names = dict(zip(("text", "text_pair"), (column.name for column in texts), strict=False))
    labels = dict(label.counts.most_common())
    data: dict[str, Any] = {"path": path, "columns": names | {"label": label.name}}
    if label.has_classes and label.counts.total() < len(label.cells):
        data["where"] = {label.name: sorted(labels)}
    return Table(path, texts, label, labels, data)


def _task(table: Table, choose: Choose) -> Literal["classification", "regression"]:
    label = table.label
    if not label.numbers or len(label.numbers) == 2:
        return "classification"
    # Stars and grades may be either; numbers that are not consecutive from 0 or 1 are not class indices.
    if not label.has_classes:
        return "regression"
    answers = [f"classification into {len(label.numbers)} classes", "regression, of a number"]
    question = f"{table.path}: column {label.shown()}: what is to be predicted?"
    return "regression" if choose(question, answers) else "classification"


def _description(domain: str, table: Table, task: str) -> str:
    texts = " and ".join(shown(column.name) for column in table.texts)
    rows = len(table.label.cells)
    if task == "regression":
        spread = f"{table.label.numbers[0]:g} to {table.label.numbers[-1]:g}"
    else:
        spread = listed(f"{shown(name)} {count:,}" for name, count in table.labels.items())
    return f"{domain}: {rows:,} rows of {table.path}; texts {texts}, label {shown(table.label.name)} ({spread})"


def _drop_rare(few: Table, notes: list[str], *, taken: bool) -> None:
    """Drop classes with too few rows to train on and to measure, and rows without a label.

    Args:
        taken: whether the latter are used as unlabelled texts.
    """
    rare = [name for name, count in few.labels.items() if count < EACH]
    missing = len(few.label.cells) - sum(few.labels.values())
    few.labels = {name: count for name, count in few.labels.items() if name not in rare}
    if len(few.labels) < 2:
        raise InputError(
            f"{few.path}, column {shown(few.label.name)}: fewer than two classes have {EACH} rows or more; "
            "accepted: two classes or more with so many rows"
        )
    if rare:
        notes.append(f"left out: {listed(map(shown, rare))}, with fewer than {EACH} rows each (see where)")
    if missing and not taken:
        notes.append(f"left out: {missing:,} rows without a label (see where)")
    if rare or missing:
        few.data["where"] = {few.label.name: sorted(few.labels)}


def _same_labels(rich: Table, few: Table, choose: Choose, notes: list[str]) -> bool:
    """Whether the teacher can be fine-tuned on the source too; labels of the source are renamed or left out for that.

    Labels are the same if they differ only in letter case and punctuation. The user is asked about other labels if
    there are few; without an answer they are different.
    """
    targets = {normalise(name): name for name in few.labels}
    meanings = {name: targets[normalise(name)] for name in rich.labels if normalise(name) in targets}
    if not rich.label.has_classes:
        # Numbers on a scale are not class names, even if some look like them.
        meanings = {}
    unknown = [name for name in rich.labels if name not in meanings]
    if unknown and len(unknown) <= 2 * len(few.labels):
        answers = ["none of them", *(shown(name) for name in few.labels)]
        for name in unknown:
            question = f"{rich.path}: which of the target's labels is {shown(name)}?"
            answer = choose(question, answers)
            if answer:
                meanings[name] = list(few.labels)[answer - 1]
    others = [name for name in rich.labels if name not in meanings]
    if others and set(meanings.values()) != set(few.labels):
        notes.append(
            f"the source's labels {listed(map(shown, others))} are not the target's: the teacher learns from the "
            "target alone and only predicts the source's texts; if the labels mean the same, name them in "
            "data.source.labels and add source to teacher.domains"
        )
        return False
    if others:
        notes.append(
            f"left out of the source: {listed(map(shown, others))}, which the target does not have (see where)"
        )
        rich.data["where"] = {rich.label.name: sorted(meanings)}
    renamed = {name: meaning for name, meaning in meanings.items() if name != meaning}
    if renamed:
        rich.data["labels"] = renamed
    notes.append(f"labels of source and target are taken to mean the same: {listed(map(shown, sorted(few.labels)))}")
    return True


def _same_scale(rich: Table, few: Table, notes: list[str]) -> bool:
    """Whether the source's numbers are in the target's range, widened by a tenth on both sides."""
    low, high = few.label.numbers[0], few.label.numbers[-1]
    margin = (high - low) / 10
    if low - margin <= rich.label.numbers[0] and rich.label.numbers[-1] <= high + margin:
        notes.append("numbers of source and target are taken to be of one scale")
        return True
    ranges = [f"{table.label.numbers[0]:g} to {table.label.numbers[-1]:g}" for table in (rich, few)]
    notes.append(
        f"the source's numbers go from {ranges[0]}, the target's from {ranges[1]}: the teacher learns from the target "
        "alone and only predicts the source's texts"
    )
    return False
