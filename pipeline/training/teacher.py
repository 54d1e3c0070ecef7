"""The teacher f^t: a large encoder, fine-tuned on source and target."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.addresses.commits import recorded
from pipeline.data.texts import TEACHER_SOURCE, Texts, read_texts
from pipeline.errors import InputError
from pipeline.evaluation.scoring import headline, rounded
from pipeline.evaluation.validation import Score
from pipeline.models.compatibility import check_labels, check_length, check_words
from pipeline.models.frozen import freeze
from pipeline.models.head_rows import rows_by_name
from pipeline.models.label_scale import LabelScale
from pipeline.models.loading import load_classifier, load_config, load_tokenizer, parameter_count
from pipeline.models.pair_encoder import encode_each
from pipeline.models.saving import save_model
from pipeline.models.student import check_student
from pipeline.models.tokenization import wrap_each_text
from pipeline.params.schema import Params
from pipeline.params.types import LabelledDomain
from pipeline.storage.fingerprint import file_hash
from pipeline.storage.json_file import write_json
from pipeline.training.checkpoint import Checkpoint, model_hash
from pipeline.training.cosine_start import start_from_cosine
from pipeline.training.finetune import fine_tune

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """A teacher fine-tuned on some domains."""

    domains: list[LabelledDomain]
    model: PreTrainedModel
    result: dict[str, Any]
    """What `fine_tune` returned."""
    checkpoint: Checkpoint


def train_teacher(params: Params, *, prepared: Path, out: Path, metrics: Path) -> str:
    """Fine-tune f^t on the domains of `teacher.domains`, one after the other; write it and its validation metrics.

    With `auto` it is fine-tuned on source and target and, apart from that, on the target alone; the teacher that
    validates better is written, and the metrics have the scores of both.

    Returns a one-line summary. Raises InputError before any training if there is no text to train on, if a model
    without training has no head for these labels, if the student cannot be distilled from this teacher, or if
    `max_length` is more than the teacher or the generator takes.
    """
    teacher = params.teacher
    check_student(params)
    for address, key in ((teacher.model, "teacher.model"), (params.generator.model, "generator.model")):
        # The augment stage runs after training and would fail only then.
        check_length(params.max_length, load_tokenizer(address, key), load_config(address, key), address)
    validation = read_texts(prepared / "validation.parquet")
    texts: dict[LabelledDomain, Texts] = {"target": read_texts(prepared / "train.parquet")}
    for key, named in (("teacher.model", teacher.model), ("student.model", params.student.model)):
        if named is not None:
            check_words(load_tokenizer(named, key), texts["target"].texts, f"{key}: {named}")
    if teacher.domains == "auto" or "source" in teacher.domains:
        texts["source"] = read_texts(prepared / TEACHER_SOURCE)
    choices, why = _choices(params, texts)
    if not choices[0]:
        raise InputError("teacher.domains: got [source], but there is no source text; accepted: [target]")
    if "source" in choices[0] and teacher.epochs.target and not teacher.epochs.source:
        logger.warning("teacher.epochs.source: 0, so the teacher does not learn from the source, as its domains say")
    if not params.encodes_each and not any(getattr(teacher.epochs, domain) for domain in choices[0]):
        # Without training the model needs a fine-tuned head: a new one would be random.
        config, names = load_classifier(teacher.model, "teacher.model").config, texts["target"].names
        if not names or rows_by_name(config, names, "teacher.model", teacher.model) is None:
            check_labels(config, names, "teacher.model")
    tokenizer = load_tokenizer(teacher.model, "teacher.model")
    trained = [
        _train(params, domains, texts, validation, tokenizer, prepared, keep=len(choices) > 1) for domains in choices
    ]
    metric = headline(params.score, validation.labels, validation.names)
    best = max(trained, key=lambda each: Score(each.result[metric], -each.result["loss"]))
    save_model(best.model, tokenizer, out)
    history = [rounded(epoch) for epoch in best.result.pop("history")]
    measured: dict[str, Any] = {"commit": recorded("teacher.model", teacher.model)}
    measured |= {"parameters": parameter_count(best.model), **rounded(best.result)}
    if teacher.domains == "auto":
        scores = [rounded({name: each.result[name] for name in (metric, "loss")}) for each in trained]
        measured["domains"] = best.domains
        measured["tried"] = [
            {"domains": each.domains, **numbers} for each, numbers in zip(trained, scores, strict=True)
        ]
    write_json(metrics, measured | {"history": history})
    for each in trained:
        each.checkpoint.finish()
    parameters = f"{parameter_count(best.model) / 1e6:.1f}M parameters"
    summary = f"{parameters}, validation {metric} {best.result[metric]:.3f}"
    if teacher.domains == "auto":
        others = [f"{_named(each.domains)} {each.result[metric]:.3f}" for each in trained if each is not best]
        summary += f" with teacher.domains: {_named(best.domains)} ({', '.join(others) or why})"
    return f"{summary}, in {out}"


def _choices(params: Params, texts: dict[LabelledDomain, Texts]) -> tuple[list[list[LabelledDomain]], str]:
    """Lists of domains with texts, of which the teacher of one is written; if auto leaves no choice, the reason."""
    domains = params.teacher.domains
    if domains != "auto":
        return [[domain for domain in domains if len(texts[domain])]], ""
    if not len(texts["source"]):
        return [["target"]], "there is no source text"
    if texts["source"].names != texts["target"].names:
        return [["target"]], "the source has other classes"
    return [["source", "target"], ["target"]], ""


def _train(
    params: Params,
    domains: list[LabelledDomain],
    texts: dict[LabelledDomain, Texts],
    validation: Texts,
    tokenizer: PreTrainedTokenizerFast,
    prepared: Path,
    *,
    keep: bool,
) -> Trained:
    """The teacher as it is with this list as `teacher.domains`.

    Args:
        keep: whether others are trained before this one is published.
    """
    teacher = params.teacher.model_copy(update={"domains": domains})
    # Those of the source, too: teacher, student and Student-FT share one scale.
    scale = LabelScale.of(texts["target"].labels, validation.names)
    with torch.random.fork_rng():
        torch.manual_seed(params.seed)
        model = load_classifier(teacher.model, "teacher.model", validation.names, scale, head=not params.encodes_each)
        if params.encodes_each:
            model = encode_each(model, wrap_each_text(tokenizer, "teacher.model"))
    start_from_cosine(model, tokenizer, texts[domains[-1]], params.max_length)
    checkpoint = Checkpoint(
        "teacher",
        __name__,
        params=params.model_dump(include={"task", "seed", "score", "max_length", "pairs"})
        | {"teacher": teacher.model_dump()},
        start=model_hash(model, tokenizer),
        texts=[file_hash(prepared / f"{name}.parquet") for name in ("teacher_source", "train", "validation")],
    )
    result = fine_tune(
        model,
        tokenizer,
        [(texts[domain], getattr(teacher.epochs, domain)) for domain in domains],
        validation,
        teacher,
        max_length=params.max_length,
        seed=params.seed,
        section="teacher",
        score=params.score,
        by_loss=True,
        scale=scale,
        frozen=freeze(model, teacher.frozen, "teacher.frozen") if teacher.frozen else None,
        checkpoint=checkpoint,
        keep=keep,
    )
    return Trained(domains, model, result, checkpoint)


def _named(domains: list[LabelledDomain]) -> str:
    return f"[{', '.join(domains)}]"
