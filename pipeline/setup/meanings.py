"""Whether the labels of the source mean what those of the target do."""

import re

from pipeline.data.labels import spelling
from pipeline.data.leaks import normalise
from pipeline.data.quoting import listed, shown
from pipeline.setup.columns import Choose
from pipeline.setup.table import Table


def same_labels(rich: Table, few: Table, choose: Choose, notes: list[str]) -> bool:
    """Whether the teacher can be fine-tuned on the source too; labels of the source are renamed or left out for that.

    Labels are the same if they differ only in letter case and signs, but + and # after a word, and no other label
    does. The user is asked about other labels if there are few; without an answer they are different.
    """
    meanings: dict[str, str] = {}
    for form in (_form, spelling):
        targets, theirs = ([form(name) for name in table.labels] for table in (few, rich))
        meanings |= {
            name: list(few.labels)[targets.index(form(name))]
            for name in rich.labels
            if targets.count(form(name)) == theirs.count(form(name)) == 1
        }
    other_scale = few.label.whole and rich.label.whole and few.label.numbers != rich.label.numbers
    if other_scale or not rich.label.has_classes:
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
            "target alone and only predicts the source's texts; if labels mean the same, rename them in "
            "data.source.labels, keep only those rows by data.source.where, and set teacher.domains: [source, target] "
            "and teacher.epochs.source: 1"
        )
        return False
    if others:
        notes.append(
            f"left out of the source: {listed(map(shown, others))}, which the target does not have (see where)"
        )
        rich.data["where"] = {rich.label.name: rich.values_of(meanings)}
    classes = {value: name for value, name in rich.label.classes.items() if name in meanings}
    renamed = {value: meanings[name] for value, name in classes.items() if value != meanings[name]}
    rich.data.pop("labels", None)
    if renamed:
        rich.data["labels"] = renamed
    notes.append(f"labels of source and target are taken to mean the same: {listed(map(shown, sorted(few.labels)))}")
    return True


def _form(label: str) -> str:
    """Without letter case and most signs; C# and C++ are not C, and -1 is not 1."""
    return normalise(label) + "".join(re.findall(r"(?<=\w)[+#]+|^-(?=\d)", label))


def same_scale(rich: Table, few: Table, notes: list[str]) -> bool:
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
