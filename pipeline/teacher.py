"""f^t: the large encoder, fine-tuned on the domains it is to know."""

from pathlib import Path

import torch

from pipeline import models
from pipeline.agreement import check_labels, check_length, check_words
from pipeline.checkpoint import Checkpoint, model_hash
from pipeline.data.texts import read_texts
from pipeline.errors import InputError
from pipeline.finetune import fine_tune
from pipeline.fingerprint import file_hash
from pipeline.params import Params
from pipeline.publishing import write_json
from pipeline.saving import save_model
from pipeline.scoring import headline, rounded
from pipeline.student import check_student


def publish_teacher(params: Params, *, prepared: Path, out: Path, metrics: Path) -> str:
    """Fine-tune f^t on the domains of `teacher.domains`, one after the other; write it and how it validated.

    Returns what was made, in a few words. Raises InputError if there is nothing to learn from, if a model that is to
    learn nothing has no head for these labels, if the student could not learn from this teacher, or if the generator
    reads shorter texts: all of that is known before the work.
    """
    given = params.teacher
    check_student(params)
    for address, key in ((given.model, "teacher.model"), (params.generator.model, "generator.model")):
        # Augmenting comes after this work, and would find out then.
        check_length(params.max_length, models.load_tokenizer(address, key), models.load_config(address, key), address)
    target = read_texts(prepared / "train.parquet")
    validation = read_texts(prepared / "validation.parquet")
    check_words(models.load_tokenizer(given.model, "teacher.model"), target.texts, f"teacher.model: {given.model}")
    phases = []
    for domain in given.domains:
        texts = target if domain == "target" else read_texts(prepared / "source.parquet")
        if len(texts):
            phases.append((texts, getattr(given.epochs, domain)))
    if not phases:
        raise InputError("teacher.domains: got [source], but there is no source text; accepted: [target]")
    if not any(epochs for _, epochs in phases):
        # A teacher that stays as it is knows the classes already, or its head would be random.
        check_labels(models.load_classifier(given.model, "teacher.model").config, target.names, "teacher.model")
    with torch.random.fork_rng():
        torch.manual_seed(params.seed)
        model = models.load_classifier(given.model, "teacher.model", target.names)
    tokenizer = models.load_tokenizer(given.model, "teacher.model")
    checkpoint = Checkpoint(
        "teacher",
        params=params.model_dump(include={"task", "seed", "max_length", "teacher"}),
        start=model_hash(model, tokenizer),
        texts=[file_hash(prepared / f"{name}.parquet") for name in ("source", "train", "validation")],
    )
    learnt = fine_tune(
        model,
        tokenizer,
        phases,
        validation,
        given,
        max_length=params.max_length,
        seed=params.seed,
        what="teacher",
        checkpoint=checkpoint,
    )
    save_model(model, tokenizer, out)
    history = [rounded(epoch) for epoch in learnt.pop("history")]
    write_json(metrics, {"parameters": models.parameter_count(model), **rounded(learnt), "history": history})
    checkpoint.finish()
    metric = headline(target.names)
    return f"{models.parameter_count(model) / 1e6:.1f}M parameters, validation {metric} {learnt[metric]:.3f}, in {out}"
