"""What `data`, task and numbers of samples a table of few labels asks for, alone or beside a rich neighbouring one."""

from dataclasses import dataclass
from typing import Any, Literal

from pipeline.data.leaks import normalise
from pipeline.data.quoting import listed, shown
from pipeline.errors import InputError
from pipeline.setup.columns import EACH, Choose, Column, group_columns, label_column, read_columns, text_columns
from pipeline.setup.sizes import train_size

NEIGHBOURS = 4000
"""Of all target texts together, and 20 of each at most: what two cores draw and learn from in some minutes."""

READ = 3200
"""Texts that a teacher reads who learns from the target alone, in 20 passes at most and 3 at least."""


@dataclass
class Table:
    """A table with its columns found.

    Args:
        labels: each value of the label column with the number of its rows, the most frequent first.
        data: its section of params.yaml.
    """

    path: str
    texts: list[Column]
    label: Column
    labels: dict[str, int]
    data: dict[str, Any]


@dataclass
class Proposal:
    """What is proposed, and in `said` why, a line each.

    Args:
        learnt: the domains that the teacher learns from.
        train: rows of the target to learn from.
    """

    task: Literal["classification", "regression"]
    target: Table
    source: Table | None
    learnt: list[str]
    train: int
    said: list[str]

    @property
    def samples(self) -> dict[str, int]:
        """Neighbours of each text by domain: the more texts there are, the fewer."""
        return {"source": int(self.source is not None), "target": min(20, max(1, NEIGHBOURS // self.train))}

    @property
    def epochs(self) -> dict[str, int]:
        """The teacher's passes: without a source to learn from, more where the texts are few."""
        if "source" in self.learnt:
            return {"source": 1, "target": 3}
        return {"source": 0, "target": min(20, max(3, READ // self.train))}


def propose(target: str, source: str | None, choose: Choose, seed: int) -> Proposal:
    """Look at one table or two and propose how they are used.

    Args:
        target: address of the few labelled texts.
        source: address of the neighbouring domain's.
        choose: is asked what cannot be seen.
        seed: of the splits, which decides what groups leave.

    Raises InputError if a table cannot be used, or is too small.
    """
    columns = read_columns(target)
    few = _table(target, columns, choose)
    task = _task(few, choose)
    said = [_described("target", few, task)]
    if task == "classification":
        _keep_learnable(few, said)
    groups = group_columns(columns, few.texts, few.label)
    train = train_size(task, few.data, groups, seed, said)
    if source is None:
        return Proposal(task, few, None, ["target"], train, [*said, "source: none"])
    rich = _table(source, read_columns(source), choose, like=few)
    if task == "regression" and not rich.label.numbers:
        raise InputError(f"{source}, column {rich.label.shown()}: no numbers; accepted: numbers, as in {target}")
    said.append(_described("source", rich, task))
    same = _same_labels(rich, few, choose, said) if task == "classification" else _same_scale(rich, few, said)
    return Proposal(task, few, rich, ["source", "target"] if same else ["target"], train, said)


def _table(path: str, columns: list[Column], choose: Choose, like: Table | None = None) -> Table:
    """Find a table's columns; those of another table's names, if it has them."""
    named = {column.name: column for column in columns}
    texts = [named[text.name] for text in like.texts if text.name in named] if like else []
    if like is None or len(texts) < len(like.texts):
        texts = text_columns(columns, path, choose)
    if like and len(texts) != len(like.texts):
        kinds = ["pairs" if len(found) > 1 else "single texts" for found in (texts, like.texts)]
        raise InputError(f"{path}: it has {kinds[0]} and {like.path} {kinds[1]}; accepted: the same in both")
    label = label_column(columns, texts, path, choose, like.label.name if like else "")
    # A column `spam` of spam and ham is none; beside a text that has some words for a name it is a row.
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
    # Stars and grades may be either; what does not count on from 0 or 1 is no number of a class.
    if not label.has_classes:
        return "regression"
    answers = [f"classification into {len(label.numbers)} classes", "regression, of a number"]
    question = f"{table.path}: column {label.shown()}: what is to be predicted?"
    return "regression" if choose(question, answers) else "classification"


def _described(domain: str, table: Table, task: str) -> str:
    texts = " and ".join(shown(column.name) for column in table.texts)
    rows = len(table.label.cells)
    if task == "regression":
        spread = f"{table.label.numbers[0]:g} to {table.label.numbers[-1]:g}"
    else:
        spread = listed(f"{shown(name)} {count:,}" for name, count in table.labels.items())
    return f"{domain}: {rows:,} rows of {table.path}; texts {texts}, label {shown(table.label.name)} ({spread})"


def _keep_learnable(few: Table, said: list[str]) -> None:
    """Leave out classes of too few rows to be learnt and measured, and rows without a label."""
    rare = [name for name, count in few.labels.items() if count < EACH]
    missing = len(few.label.cells) - sum(few.labels.values())
    few.labels = {name: count for name, count in few.labels.items() if name not in rare}
    if len(few.labels) < 2:
        raise InputError(
            f"{few.path}, column {shown(few.label.name)}: fewer than two classes have {EACH} rows or more; "
            "accepted: two classes that can be learnt and measured"
        )
    if rare:
        said.append(f"left out: {listed(map(shown, rare))}, with fewer than {EACH} rows each (see where)")
    if missing:
        said.append(f"left out: {missing:,} rows without a label (see where)")
    if rare or missing:
        few.data["where"] = {few.label.name: sorted(few.labels)}


def _same_labels(rich: Table, few: Table, choose: Choose, said: list[str]) -> bool:
    """Whether a teacher can learn from the source too; its labels are renamed, or others left out, where it helps.

    Labels are the same if they are but for letter case and signs; others are asked for if there are few, and taken for
    different if nobody answers.
    """
    wanted = {normalise(name): name for name in few.labels}
    meant = {name: wanted[normalise(name)] for name in rich.labels if normalise(name) in wanted}
    if not rich.label.has_classes:
        # Of numbers on a scale, those that look like names of classes are none.
        meant = {}
    unknown = [name for name in rich.labels if name not in meant]
    if unknown and len(unknown) <= 2 * len(few.labels):
        answers = ["none of them", *(shown(name) for name in few.labels)]
        for name in unknown:
            question = f"{rich.path}: which of the target's labels is {shown(name)}?"
            taken = choose(question, answers)
            if taken:
                meant[name] = list(few.labels)[taken - 1]
    others = [name for name in rich.labels if name not in meant]
    if others and set(meant.values()) != set(few.labels):
        said.append(
            f"the source's labels {listed(map(shown, others))} are not the target's: the teacher learns from the "
            "target alone, and says what it thinks of the source's texts; if they mean the same, name them in "
            "data.source.labels and add source to teacher.domains"
        )
        return False
    if others:
        said.append(f"left out of the source: {listed(map(shown, others))}, which the target has not (see where)")
        rich.data["where"] = {rich.label.name: sorted(meant)}
    renamed = {name: ours for name, ours in meant.items() if name != ours}
    if renamed:
        rich.data["labels"] = renamed
    said.append(f"labels of source and target are taken to mean the same: {listed(map(shown, sorted(few.labels)))}")
    return True


def _same_scale(rich: Table, few: Table, said: list[str]) -> bool:
    """Whether the source's numbers lie where the target's do, a tenth of their range aside."""
    low, high = few.label.numbers[0], few.label.numbers[-1]
    aside = (high - low) / 10
    if low - aside <= rich.label.numbers[0] and rich.label.numbers[-1] <= high + aside:
        said.append("numbers of source and target are taken to be of one scale")
        return True
    ranges = [f"{table.label.numbers[0]:g} to {table.label.numbers[-1]:g}" for table in (rich, few)]
    said.append(
        f"the source's numbers go from {ranges[0]}, the target's from {ranges[1]}: the teacher learns from the target "
        "alone, and says what it thinks of the source's texts"
    )
    return False
