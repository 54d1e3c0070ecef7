"""A table of the user's: its columns, its labels and what is predicted from them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pipeline.data.cells import MISSING, NO_LABEL
from pipeline.data.quoting import listed, shown
from pipeline.errors import InputError
from pipeline.setup.column import EACH, FEW, Column
from pipeline.setup.columns import Choose, check_decimal_points, label_column, second_text, text_columns, texts_like

Task = Literal["classification", "regression"]


@dataclass
class Table:
    """A table and the columns found in it.

    Args:
        labels: each class, or number, with its number of rows, the most frequent first.
        data: its section of params.yaml.
    """

    path: str
    texts: list[Column]
    label: Column
    labels: dict[str, int]
    data: dict[str, Any]

    def values_of(self, names: Iterable[str]) -> list[str]:
        """The values of the label column that are one of the classes, in any spelling, sorted."""
        return sorted(value for value, name in self.label.classes.items() if name in set(names))


def find_columns(
    section: dict[str, Any], columns: Sequence[Column], choose: Choose, like: Table | None = None
) -> Table:
    """Find a table's columns; columns named as those of the table `like` are taken first.

    Args:
        section: the keys of params.yaml that say where the table is.
    """
    path = section["path"]
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
    check_decimal_points(label, path)
    label = _without_minus_one(label, path, choose)
    if like is None and len(texts) == 1 and (second := second_text(columns, texts[0], label, path, choose)):
        texts = [*texts, second]
    names = dict(zip(("text", "text_pair"), (column.name for column in texts), strict=False))
    counts: Counter[str] = Counter()
    for value, name in label.classes.items():
        counts[name] += label.counts[value]
    data = section | {"columns": names | {"label": label.name}}
    return Table(path, texts, label, dict(counts.most_common()), data)


def _without_minus_one(label: Column, path: str, choose: Choose) -> Column:
    """The column with -1 as no label, if the user takes it for that: it may be where all other numbers are positive."""
    others = [number for number in label.numbers if number != -1]
    if len(others) < 2 or len(others) == len(label.numbers) or others[0] < 0:
        return label
    values = frozenset(value for value in label.counts if float(value) == -1)
    rows = sum(label.counts[value] for value in values)
    answers = [f"that the {rows:,} rows have no label", "a label like the others"]
    if others == [0, 1]:
        answers.reverse()
    answer = answers[choose(f"{path}: column {label.shown()}: what does -1 mean?", answers)]
    return label if answer.startswith("a ") else replace(label, absent=values)


def task_of(table: Table, choose: Choose) -> Task:
    """Classification or regression; of few whole numbers the user is asked.

    Stars and grades may be either; many whole numbers that do not count on from -1, 0 or 1 are likelier a scale.
    """
    label = table.label
    if not label.numbers or len(label.numbers) == 2:
        return "classification"
    if not label.has_classes:
        return "regression"
    answers: dict[str, Task] = {
        f"classification into {len(label.numbers)} classes": "classification",
        "regression, of a number": "regression",
    }
    offered = list(answers)
    if not label.is_consecutive and len(label.numbers) > FEW:
        offered.reverse()
    question = f"{table.path}: column {label.shown()}: what is to be predicted?"
    return answers[offered[choose(question, offered)]]


def described(domain: str, table: Table, columns: Sequence[Column], task: Task) -> str:
    """What was found in a table: rows, task, texts, label, and the columns that are not used."""
    texts = " and ".join(shown(column.name) for column in table.texts)
    if task == "regression":
        spread = f"{table.label.numbers[0]:g} to {table.label.numbers[-1]:g}"
    else:
        spread = listed(f"{shown(name)} {count:,}" for name, count in table.labels.items())
    used = table.data["columns"]
    group = used.get("group", [])
    names = {used["text"], used.get("text_pair"), used["label"], *([group] if isinstance(group, str) else group)}
    unused = listed(shown(column.name) for column in columns if column.name not in names)
    return (
        f"{domain}: {len(table.label.cells):,} rows of {table.path}; {task}; texts {texts}, "
        f"label {shown(table.label.name)} ({spread}); not used: {unused or 'no other column'}"
    )


def leave_out(table: Table, task: Task, notes: list[str], *, rare: bool, taken: bool) -> None:
    """Leave out rows without a label and, if `rare`, classes with too few rows to train on and to measure.

    Values in other spellings become one class.

    Args:
        notes: lines on what was left out are added to it.
        taken: whether rows without a label are used as unlabelled texts.

    Raises InputError if fewer than two classes have enough rows.
    """
    label = table.label
    counts = Counter(cell for cell in label.cells if cell in label.missing)
    if counts and not taken:
        usual = {value for value in counts if not value or value.lower() in MISSING}
        as_written = f" ({listed(shown(value) for value in sorted(set(counts) - usual))} means none)"
        notes.append(
            f"left out: {counts.total():,} rows without a label in {shown(label.name)}"
            f"{as_written if set(counts) - usual else ''} (see {'labels' if task == 'regression' else 'where'})"
        )
    if task == "regression":
        # A list of all numbers would be long: the values that mean none are renamed to nothing.
        if counts:
            table.data["labels"] = dict.fromkeys(sorted(counts), "")
        return
    dropped = [name for name, count in table.labels.items() if count < EACH] if rare else []
    kept = {name: count for name, count in table.labels.items() if name not in dropped}
    if len(kept) < 2:
        raise InputError(
            f"{table.path}, column {shown(label.name)}: fewer than two classes have {EACH} rows or more; "
            "accepted: two classes or more with so many rows"
        )
    if dropped:
        notes.append(f"left out: {listed(map(shown, dropped))}, with fewer than {EACH} rows each (see where)")
    table.labels = kept
    values = table.values_of(kept)
    if (counts or dropped) and label.has_classes:
        table.data["where"] = {label.name: values}
    elif counts:
        table.data["labels"] = dict.fromkeys(sorted(counts), "")
    # A sign that is a class here, as `-` is beside `+`, is so in any part of the table.
    renamed = {value: label.classes[value] for value in values}
    renamed = {value: name for value, name in renamed.items() if value != name or value in NO_LABEL}
    if renamed:
        table.data["labels"] = table.data.get("labels", {}) | renamed
        spelt = [f"{shown(value)} is {shown(name)}" for value, name in renamed.items() if value != name]
        if spelt:
            notes.append(f"one class in several spellings: {listed(spelt)}")
