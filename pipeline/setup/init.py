"""A params file for the user's tables: proposed, tried in a dry run of `prepare`, written."""

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from pipeline.data.prepare import prepare
from pipeline.models.compatibility import check_words
from pipeline.models.loading import load_tokenizer, quiet
from pipeline.models.student import check_student
from pipeline.params.edit import COLUMN, Value, replace_header, replace_values
from pipeline.params.file import load
from pipeline.params.schema import Params
from pipeline.params.yaml12 import inline
from pipeline.setup.columns import Choose
from pipeline.setup.marks import marks
from pipeline.setup.models import LONGEST, model_values
from pipeline.setup.pairs import pair_values
from pipeline.setup.proposal import Proposal, propose
from pipeline.setup.table import Table
from pipeline.setup.write import KEYS, PARAMS, check_project, check_text, write_params
from pipeline.storage.atomic import check_writable

RAW = Path("data/raw")
SOURCE = 4500
"""Source texts at most: two cores train a teacher and a student on those in some minutes."""
SENTENCES = 8000
"""Sentences of the source's texts, at most, if these are much longer than the target's."""
UNLABELLED = 4000
"""Texts without labels at most, for the same reason."""
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


def init(
    target: str,
    source: str | None,
    *,
    unlabelled: str | None,
    model: str | None,
    out: Path,
    choose: Choose,
    say: Callable[[str], None],
) -> str:
    """Propose a params file for one table to three and write it.

    Args:
        target: address of the table of few labelled texts.
        source: address of the source domain's.
        unlabelled: address of that of the target domain's texts without labels.
        model: of the teacher, and of the generator if it has a masked-LM head.
        out: what is there is kept beside it under a name with `.bak`, if `choose` takes the first answer.
        choose: is asked what the tables do not show.
        say: prints a line; what was found is printed as it is found.

    Returns what was made and what to run next. Raises InputError, before anything is written, if a table or a model
    cannot be used.
    """
    check_project()
    check_writable(out, "--out", folder=False)
    seed = load(PARAMS).seed
    proposal = propose(target, source, choose, seed, unlabelled)
    for line in proposal.notes:
        say(line)
    for path in filter(None, (target, source, unlabelled)):
        if Path(path).is_file() and not Path(path).resolve().is_relative_to(RAW.resolve()):
            say(f"{path}: outside {RAW}, so DVC does not notice when it changes")
    address, deep, values = model_values(model, say)
    values |= {"max_length": Value(str(_max_length(proposal.target, address, say)))}
    if len(proposal.target.texts) > 1:
        values |= pair_values(address, values, say)
    each = values.get("pairs") == Value("each")
    values |= _settings(proposal, deep=deep, each=each) | {"augment.keep": _keep(proposal.target, say)}
    text, prepared = _try_prepare(proposal, values, say)
    say(f"prepare gives {prepared}")
    return write_params(text, out, choose, say)


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


def _try_prepare(proposal: Proposal, values: dict[str, Value], say: Callable[[str], None]) -> tuple[str, str]:
    """The params file's text, and what `prepare` makes of it in a temporary folder; rows are limited by it."""
    with TemporaryDirectory() as name:
        out, metrics = Path(name) / "prepared", Path(name) / "data.json"

        def tried() -> tuple[str, str, dict[str, Any]]:
            text, params = _with_values(proposal, values)
            prepared = prepare(params, out=out, metrics=metrics)
            check_student(params)
            return text, prepared.removesuffix(f", in {out}"), json.loads(metrics.read_text(encoding="utf-8"))

        source = {} if proposal.source is None else proposal.source.data
        text, prepared, found = tried()
        splits = found["splits"]
        most = [(source, splits["source"], SOURCE), (proposal.unlabelled, splits.get("unlabelled"), UNLABELLED)]
        too_many = [(data, limit) for data, has, limit in most if data and has["rows"] > limit]
        for data, limit in too_many:
            data["rows"] = limit
        split = _is_longer(proposal)
        if split:
            source["sentences"] = 1
        if too_many or split:
            text, prepared, found = tried()
        if split:
            source["sentences"] = min(SENTENCES, found["unused"]["source_sentences"] + 1)
            say(f"data.source.sentences: {source['sentences']:,}, because texts of the source are much longer")
            text, prepared, _ = tried()
    return text, prepared


def _is_longer(proposal: Proposal) -> bool:
    """Whether half of the source's texts have more than twice as many words as half of the target's."""
    if proposal.source is None or len(proposal.target.texts) > 1:
        return False
    words = [
        np.median([len(cell.split()) for cell in table.texts[0].cells if cell])
        for table in (proposal.source, proposal.target)
    ]
    return bool(words[0] > 2 * words[1])


def _with_values(proposal: Proposal, values: dict[str, Value]) -> tuple[str, Params]:
    """The text of params.yaml with the proposal and other values in it, and its params."""
    what = f"{proposal.task} of {proposal.target.path}"
    what += "" if proposal.source is None else f" beside {proposal.source.path}"
    text = PARAMS.read_text(encoding="utf-8")
    text = replace_values(text, values | {"data": Value(_data(proposal))}, str(PARAMS))
    text = replace_header(text, "\n".join((HEADER.format(what=" ".join(what.split())), KEYS)))
    return text, check_text(text)


def _data(proposal: Proposal) -> str:
    """The section `data`, with a comment after each size of the target."""
    lines = [""]
    source = None if proposal.source is None else proposal.source.data
    for domain, data in (("source", source), ("target", proposal.target.data), ("unlabelled", proposal.unlabelled)):
        lines.append(f"  {domain}:" if data else f"  {domain}: null")
        for key, value in data.items() if data else ():
            line = f"    {key}: {inline(value)}"
            comment = COMMENTS.get(key) if domain == "target" else None
            lines.append(f"{line} ".ljust(COLUMN) + f"# {comment}" if comment else line)
    return "\n".join(lines)
