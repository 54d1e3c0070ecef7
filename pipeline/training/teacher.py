"""f^t: the large encoder, fine-tuned on the domains it is to know."""

from pathlib import Path

import torch

from pipeline.data.texts import read_texts
from pipeline.errors import InputError
from pipeline.evaluation.scoring import headline, rounded
from pipeline.models.compatibility import check_labels, check_length, check_words
from pipeline.models.loading import load_classifier, load_config, load_tokenizer, parameter_count
from pipeline.models.saving import save_model
from pipeline.models.student import check_student
from pipeline.params.schema import Params
from pipeline.storage.atomic import write_json
from pipeline.storage.fingerprint import file_hash
from pipeline.training.checkpoint import Checkpoint, model_hash
from pipeline.training.finetune import fine_tune


def train_teacher(params: Params, *, prepared: Path, out: Path, metrics: Path) -> str:
    """Fine-tune f^t on the domains of `teacher.domains`, one after the other; write it and how it validated.

    Returns what was made, in a few words. Raises InputError if there is nothing to learn from, if a model that is to
    learn nothing has no head for these labels, if the student could not learn from this teacher, or if the generator
    reads shorter texts: all of that is known before the work.
    """
    given = params.teacher
    check_student(params)
    for address, key in ((given.model, "teacher.model"), (params.generator.model, "generator.model")):
        # Augmenting comes after this work, and would find out then.
        check_length(params.max_length, load_tokenizer(address, key), load_config(address, key), address)
    target = read_texts(prepared / "train.parquet")
    validation = read_texts(prepared / "validation.parquet")
    check_words(load_tokenizer(given.model, "teacher.model"), target.texts, f"teacher.model: {given.model}")
    phases = []
    for domain in given.domains:
        texts = target if domain == "target" else read_texts(prepared / "source.parquet")
        if len(texts):
            phases.append((texts, getattr(given.epochs, domain)))
    if not phases:
        raise InputError("teacher.domains: got [source], but there is no source text; accepted: [target]")
    if not any(epochs for _, epochs in phases):
        # A teacher that stays as it is knows the classes already, or its head would be random.
        check_labels(load_classifier(given.model, "teacher.model").config, target.names, "teacher.model")
    with torch.random.fork_rng():
        torch.manual_seed(params.seed)
        model = load_classifier(given.model, "teacher.model", target.names)
    tokenizer = load_tokenizer(given.model, "teacher.model")
    checkpoint = Checkpoint(
        "teacher",
        __name__,
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
    write_json(metrics, {"parameters": parameter_count(model), **rounded(learnt), "history": history})
    checkpoint.finish()
    metric = headline(target.names)
    return f"{parameter_count(model) / 1e6:.1f}M parameters, validation {metric} {learnt[metric]:.3f}, in {out}"
