"""The models that labels alone make: the teacher, and for comparison the student without distillation."""

from pathlib import Path
from typing import Any

import torch

from pipeline import models
from pipeline.data.texts import Texts, read_texts
from pipeline.errors import InputError
from pipeline.finetune import fine_tune
from pipeline.params import Params
from pipeline.publishing import write_json
from pipeline.saving import save_model
from pipeline.scoring import headline, rounded
from pipeline.student import build_student, load_student_tokenizer


def publish_teacher(params: Params, *, prepared: Path, out: Path, metrics: Path) -> str:
    """Fine-tune f^t on the domains of `teacher.domains`, one after the other; write it and how it validated.

    Returns what was made, in a few words. Raises InputError if there is nothing to learn from.
    """
    given = params.teacher
    target = read_texts(prepared / "train.parquet")
    validation = read_texts(prepared / "validation.parquet")
    phases = []
    for domain in given.domains:
        texts = target if domain == "target" else read_texts(prepared / "source.parquet")
        if len(texts):
            phases.append((texts, getattr(given.epochs, domain)))
    if not phases:
        raise InputError("teacher.domains: got [source], but there is no source text; accepted: [target]")
    with torch.random.fork_rng():
        torch.manual_seed(params.seed)
        model = models.load_classifier(given.model, "teacher.model", target.names)
    tokenizer = models.load_tokenizer(given.model, "teacher.model")
    learnt = fine_tune(
        model, tokenizer, phases, validation, given, max_length=params.max_length, seed=params.seed, what="teacher"
    )
    save_model(model, tokenizer, out)
    history = [rounded(epoch) for epoch in learnt.pop("history")]
    write_json(metrics, {"parameters": models.parameter_count(model), **rounded(learnt), "history": history})
    return f"{models.parameter_count(model) / 1e6:.1f}M parameters, {_validated(learnt, validation)}, in {out}"


def publish_student_ft(params: Params, *, prepared: Path, out: Path) -> str:
    """Fine-tune the student's architecture on the scarce target labels alone and write it.

    It starts from first layers of the encoder, where the student takes those of the fine-tuned teacher: those have
    seen labels that this comparison must do without.

    Returns what was made, in a few words.
    """
    given = params.evaluate.student_ft
    target = read_texts(prepared / "train.parquet")
    validation = read_texts(prepared / "validation.parquet")
    model = build_student(params, teacher=None, labels=target.names)
    tokenizer = load_student_tokenizer(params, teacher=None)
    phases = [(target, given.epochs)]
    learnt = fine_tune(
        model,
        tokenizer,
        phases,
        validation,
        given,
        max_length=params.max_length,
        seed=params.seed,
        what="evaluate.student_ft",
    )
    save_model(model, tokenizer, out)
    return f"{models.parameter_count(model) / 1e6:.1f}M parameters, {_validated(learnt, validation)}, in {out}"


def _validated(learnt: dict[str, Any], validation: Texts) -> str:
    metric = headline(validation.names)
    return f"validation {metric} {learnt[metric]:.3f}"
