"""The teacher f^t: a large encoder, fine-tuned on source and target."""

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
from pipeline.storage.fingerprint import file_hash
from pipeline.storage.json_file import write_json
from pipeline.training.checkpoint import Checkpoint, model_hash
from pipeline.training.finetune import fine_tune


def train_teacher(params: Params, *, prepared: Path, out: Path, metrics: Path) -> str:
    """Fine-tune f^t on the domains of `teacher.domains`, one after the other; write it and its validation metrics.

    Returns a one-line summary. Raises InputError before any training if there is no text to train on, if a model
    without training has no head for these labels, if the student cannot be distilled from this teacher, or if
    `max_length` is more than the teacher or the generator takes.
    """
    teacher = params.teacher
    check_student(params)
    for address, key in ((teacher.model, "teacher.model"), (params.generator.model, "generator.model")):
        # The augment stage runs after training and would fail only then.
        check_length(params.max_length, load_tokenizer(address, key), load_config(address, key), address)
    target = read_texts(prepared / "train.parquet")
    validation = read_texts(prepared / "validation.parquet")
    for key, named in (("teacher.model", teacher.model), ("student.model", params.student.model)):
        if named is not None:
            check_words(load_tokenizer(named, key), target.texts, f"{key}: {named}")
    phases = []
    for domain in teacher.domains:
        texts = target if domain == "target" else read_texts(prepared / "source.parquet")
        if len(texts):
            phases.append((texts, getattr(teacher.epochs, domain)))
    if not phases:
        raise InputError("teacher.domains: got [source], but there is no source text; accepted: [target]")
    if not any(epochs for _, epochs in phases):
        # Without training the model needs a fine-tuned head: a new one would be random.
        check_labels(load_classifier(teacher.model, "teacher.model").config, target.names, "teacher.model")
    with torch.random.fork_rng():
        torch.manual_seed(params.seed)
        model = load_classifier(teacher.model, "teacher.model", target.names)
    tokenizer = load_tokenizer(teacher.model, "teacher.model")
    checkpoint = Checkpoint(
        "teacher",
        __name__,
        params=params.model_dump(include={"task", "seed", "score", "max_length", "teacher"}),
        start=model_hash(model, tokenizer),
        texts=[file_hash(prepared / f"{name}.parquet") for name in ("source", "train", "validation")],
    )
    result = fine_tune(
        model,
        tokenizer,
        phases,
        validation,
        teacher,
        max_length=params.max_length,
        seed=params.seed,
        section="teacher",
        score=params.score,
        checkpoint=checkpoint,
    )
    save_model(model, tokenizer, out)
    history = [rounded(epoch) for epoch in result.pop("history")]
    write_json(metrics, {"parameters": parameter_count(model), **rounded(result), "history": history})
    checkpoint.finish()
    metric = headline(params.score, validation.labels, validation.names)
    return f"{parameter_count(model) / 1e6:.1f}M parameters, validation {metric} {result[metric]:.3f}, in {out}"
