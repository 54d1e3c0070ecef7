"""The params proposed for a table with few labels, alone or beside a large table of a source domain."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.data.loading import Files
from pipeline.data.scripts import word_count
from pipeline.data.tables import read_target
from pipeline.errors import InputError
from pipeline.params.schema import Params
from pipeline.params.types import Domain
from pipeline.setup.column import SAMPLED, columns_of, read_section
from pipeline.setup.columns import Choose, group_columns
from pipeline.setup.hub import table_section
from pipeline.setup.meanings import same_labels, same_scale
from pipeline.setup.sizes import limit_rows, split_sizes
from pipeline.setup.table import Table, Task, described, find_columns, leave_out, task_of
from pipeline.setup.unlabelled import rows_without_label, unlabelled_table

NEIGHBOURS = 4000
"""Neighbours of all target texts together, at most 20 of each: two cores draw and train on these in some minutes."""

TEACHER_TEXTS = 3200
"""Texts that a teacher trained on the target alone sees, in 3 to 20 epochs."""

MANY = 2000
"""Source texts, of which a deep teacher sees a quarter."""


@dataclass
class Proposal:
    """The proposed params.

    Args:
        unlabelled: the section `data.unlabelled` of params.yaml; None without texts that have no labels.
        teacher_domains: the domains that the teacher is fine-tuned on.
        train: training rows of the target.
        notes: what was found and why it is proposed, one line each.
        prepared: what `prepare` makes of the tables, in a few words.
    """

    task: Task
    target: Table
    source: Table | None
    unlabelled: dict[str, Any] | None
    teacher_domains: list[str]
    train: int
    notes: list[str]
    prepared: str

    @property
    def samples(self) -> dict[str, int]:
        """Neighbours of each text, by domain: the more texts, the fewer neighbours of each.

        None of the source's and the unlabelled texts, which are many: more of their own teach more than neighbours do.
        """
        return {"source": 0, "target": min(20, max(1, NEIGHBOURS // self.train)), "unlabelled": 0}

    def epochs(self, *, deep: bool, each: bool = False) -> dict[str, float]:
        """The teacher's epochs, by domain: more if the target's texts are few, fewer if the source's are many.

        Args:
            deep: whether the teacher has many layers, which learn from fewer steps and take longer for each.
            each: whether it encodes each text of a pair by itself, and its learning rate is low.
        """
        if self.source is None or "source" not in self.teacher_domains:
            return {"source": 0, "target": min(20, max(3, TEACHER_TEXTS // self.train))}
        if deep and len(self.source.label.cells) > MANY:
            return {"source": 0.25, "target": 4}
        return {"source": 1, "target": 6 if each else 4 if deep else 3}


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
    section = table_section(target, choose)
    target = section["path"]
    files: dict[Domain, Files] = {"target": read_section(section)}
    columns = columns_of(files["target"])
    few = find_columns(section, columns, choose)
    task = task_of(few, choose)
    notes: list[str] = []
    if unlabelled is None:
        more = rows_without_label(few.texts, few.label, section, notes)
        files["unlabelled"] = files["target"]
    else:
        section = table_section(unlabelled, choose)
        files["unlabelled"] = read_section(section)
        more = unlabelled_table(section, files["unlabelled"], few.texts, target, choose, notes)
    leave_out(few, task, notes, rare=True, taken=more is not None and unlabelled is None)
    # Any number of rows: the sizes are chosen after the rows that can be used are known.
    sections: dict[str, Any] = {"target": few.data | {"rows": 1}, "unlabelled": more}
    values: dict[str, Any] = {"task": task, "seed": seed, "data": sections}
    params = Params.model_validate(values)
    groups = group_columns(columns, few.texts, few.label)
    train, usable = split_sizes(params, read_target(params, files["target"]), few.data, groups, notes)
    notes.insert(0, described("target", few, columns, task))
    rich: Table | None = None
    domains = ["target"]
    if source is None:
        notes.append("source: none")
    else:
        section = table_section(source, choose)
        files["source"] = read_section(section)
        rich, same = _source(section, files["source"], few, task, choose, notes)
        domains = ["source", "target"] if same else ["target"]
    sections |= {"target": few.data, "source": rich and rich.data}
    values["teacher"] = {"domains": domains}
    prepared = limit_rows(values, usable, files, notes, split=rich is not None and _is_longer(rich, few))
    return Proposal(task, few, rich, more, domains, train, notes, prepared)


def _source(
    section: dict[str, Any], files: Files, few: Table, task: Task, choose: Choose, notes: list[str]
) -> tuple[Table, bool]:
    """The source's table, and whether its labels mean what those of the target's, `few`, do."""
    columns = columns_of(files)
    rich = find_columns(section, columns, choose, like=few)
    if task == "regression" and not rich.label.numbers:
        raise InputError(f"{rich.path}, column {rich.label.shown()}: no numbers; accepted: numbers, as in {few.path}")
    notes.append(described("source", rich, columns, task))
    leave_out(rich, task, notes, rare=False, taken=False)
    return rich, same_labels(rich, few, choose, notes) if task == "classification" else same_scale(rich, few, notes)


def _is_longer(rich: Table, few: Table) -> bool:
    """Whether half of the single texts of one table have more than twice as many words as half of the other's."""
    words = []
    for table in (rich, few):
        cells = [cell for cell in table.texts[0].cells if cell]
        words.append(np.median([word_count(cell) for cell in cells[:: max(1, len(cells) // SAMPLED)]]))
    return len(few.texts) == 1 and bool(words[0] > 2 * words[1])
