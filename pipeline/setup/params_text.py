"""The text of a params file for a proposal: params.yaml with its tables, the models, and what depends on both."""

from collections.abc import Callable
from contextlib import suppress

import numpy as np

from pipeline.errors import InputError
from pipeline.models.compatibility import check_words
from pipeline.models.head_rows import rows_by_name
from pipeline.models.loading import load_encoder_config, load_tokenizer, quiet
from pipeline.models.student import check_student
from pipeline.params.edit import COLUMN, Value, replace_header, replace_values
from pipeline.params.yaml12 import inline
from pipeline.setup.marks import marks
from pipeline.setup.models import LONGEST, model_values
from pipeline.setup.pairs import pair_values
from pipeline.setup.proposal import Proposal
from pipeline.setup.table import Table
from pipeline.setup.write import KEYS, PARAMS, check_text

SHORTEST = 16
"""The smallest max_length proposed."""
MEASURED = 2000
"""Texts, or pairs, of which tokens are counted and marks looked for."""
COMMENTS = {
    "per_class": "the scarce labels",
    "rows": "the scarce labels, in the classes' proportions",
    "validation": "selects the best epoch and rewards the selector",
    "test": "the test set, which training never reads",
}
HEADER = "{what}, proposed by `l2a init`: look it over."


def params_text(proposal: Proposal, model: str | None, say: Callable[[str], None]) -> str:
    """The text of the params file.

    Args:
        model: of the teacher, and of the generator if it has a masked-LM head.
        say: prints a line on what was found.

    Raises InputError if a model cannot be used, or does not suit the tables.
    """
    address, deep, values = model_values(model, say)
    _say_if_fine_tuned(proposal, address, say)
    values |= {"max_length": Value(str(_max_length(proposal.target, address, say)))}
    if len(proposal.target.texts) > 1:
        values |= pair_values(proposal.target.texts, address, values, say)
    each = values.get("pairs") == Value("each")
    values |= _settings(proposal, deep=deep, each=each) | {"augment.keep": _keep(proposal.target, say)}
    what = f"{proposal.task} of {proposal.target.path}"
    what += "" if proposal.source is None else f" beside {proposal.source.path}"
    text = PARAMS.read_text(encoding="utf-8")
    text = replace_values(text, values | {"data": Value(_data(proposal))}, str(PARAMS))
    text = replace_header(text, "\n".join((HEADER.format(what=" ".join(what.split())), KEYS)))
    check_student(check_text(text))
    return text


def _say_if_fine_tuned(proposal: Proposal, address: str, say: Callable[[str], None]) -> None:
    """Say how a teacher that answers in the target's classes already is kept as it is."""
    config, names = load_encoder_config(address, "teacher.model"), list(proposal.target.labels)
    # The teacher stage says what is wrong where it has some of the classes.
    with suppress(InputError):
        # A pair's head is a new one where each text is encoded by itself.
        single = proposal.task == "classification" and len(proposal.target.texts) == 1
        if single and rows_by_name(config, names, "teacher.model", address) is not None:
            say(f"{address} answers in these classes: teacher.epochs: {{source: 0, target: 0}} keeps it as it is")


def _max_length(target: Table, address: str, say: Callable[[str], None]) -> int:
    """The number of tokens with which 95 of 100 target texts are whole, a multiple of 8 within the bounds.

    Raises InputError if the tokenizer does not know the words.
    """
    tokenizer = load_tokenizer(address, "teacher.model")
    rows = _some_rows(target)
    with quiet():
        check_words(tokenizer, [" ".join(row) for row in rows], "teacher.model")
        tokens = tokenizer(*map(list, zip(*rows, strict=True)), return_attention_mask=False)
    lengths = np.array([len(ids) for ids in tokens["input_ids"]])
    most = min(LONGEST, tokenizer.model_max_length)
    length = min(most, max(SHORTEST, -(-int(np.quantile(lengths, 0.95)) // 8) * 8))
    say(f"max_length: {length} tokens, which hold {(lengths <= length).mean():.0%} of the target's texts whole")
    return length


def _some_rows(target: Table) -> list[tuple[str, ...]]:
    """The texts of some `MEASURED` rows that have them, evenly spaced."""
    rows = [row for row in zip(*(column.cells for column in target.texts), strict=True) if all(row)]
    return rows[:: max(1, len(rows) // MEASURED)]


def _keep(target: Table, say: Callable[[str], None]) -> Value:
    """The regular expression of the marks that stand in most of the target's texts; null if there are none."""
    pattern, common = marks(_some_rows(target))
    if not pattern:
        return Value("null", "or a regular expression: words that it touches never change")
    say(f"augment.keep: {pattern}, because {common} stand in most texts of the target")
    return Value(inline(pattern), "marks in the texts: these words never change")


def _settings(proposal: Proposal, *, deep: bool, each: bool) -> dict[str, Value]:
    """The other params that depend on the tables, without `data`.

    Args:
        deep: whether the teacher has many layers.
        each: whether each text of a pair is encoded by itself.
    """
    other = {"classification": "regression", "regression": "classification"}[proposal.task]
    # Numbers of another scale are not the labels of texts that a student of this one learns from.
    same = proposal.task == "classification" or "source" in proposal.teacher_domains or proposal.source is None
    return {
        "task": Value(proposal.task, f"or {other}"),
        "distill.originals": Value(inline(["source", "target", "unlabelled"] if same else ["target", "unlabelled"])),
        "teacher.domains": Value(inline(proposal.teacher_domains), "fine-tuned on these, in this order"),
        "teacher.epochs": Value(inline(proposal.epochs(deep=deep, each=each))),
        "augment.samples": Value(inline(proposal.samples)),
    }


def _data(proposal: Proposal) -> str:
    """The section `data`, with a comment after each size of the target."""
    lines = [""]
    comments = COMMENTS | ({"rows": COMMENTS["per_class"]} if proposal.task == "regression" else {})
    source = None if proposal.source is None else proposal.source.data
    for domain, data in (("source", source), ("target", proposal.target.data), ("unlabelled", proposal.unlabelled)):
        lines.append(f"  {domain}:" if data else f"  {domain}: null")
        for key, value in data.items() if data else ():
            line = f"    {key}: {inline(value)}"
            comment = comments.get(key) if domain == "target" else None
            lines.append(f"{line} ".ljust(COLUMN) + f"# {comment}" if comment else line)
    return "\n".join(lines)
