"""Student-FT, the baseline of distillation: the student's architecture fine-tuned on the scarce labels alone."""

from pathlib import Path

from pipeline.data.texts import read_texts
from pipeline.evaluation.scoring import headline
from pipeline.models.label_scale import LabelScale
from pipeline.models.loading import parameter_count
from pipeline.models.saving import save_model
from pipeline.models.student import build_student, load_student_tokenizer
from pipeline.params.schema import Params
from pipeline.storage.fingerprint import file_hash
from pipeline.training.checkpoint import Checkpoint, model_hash
from pipeline.training.cosine_start import start_from_cosine
from pipeline.training.finetune import fine_tune


def train_student_ft(params: Params, *, prepared: Path, out: Path) -> str:
    """Fine-tune the student's architecture on the scarce target labels alone and write it.

    Where the student starts from layers of the fine-tuned teacher, this one starts from those of the encoder before
    fine-tuning: the teacher has seen labels that the baseline must not use.

    Returns a one-line summary.
    """
    fit = params.evaluate.student_ft
    target = read_texts(prepared / "train.parquet")
    validation = read_texts(prepared / "validation.parquet")
    scale = LabelScale.of(target.labels, target.names)
    model = build_student(params, teacher=None, labels=target.names, pairs=target.pairs is not None, scale=scale)
    tokenizer = load_student_tokenizer(params, teacher=None)
    start_from_cosine(model, tokenizer, target, params.max_length)
    checkpoint = Checkpoint(
        "student_ft",
        __name__,
        params=params.model_dump(include={"task", "seed", "score", "max_length", "pairs", "student"}),
        fit=fit.model_dump(),
        start=model_hash(model, tokenizer),
        texts=[file_hash(prepared / f"{name}.parquet") for name in ("train", "validation")],
    )
    phases = [(target, fit.epochs)]
    result = fine_tune(
        model,
        tokenizer,
        phases,
        validation,
        fit,
        max_length=params.max_length,
        seed=params.seed,
        section="evaluate.student_ft",
        score=params.score,
        scale=scale,
        checkpoint=checkpoint,
    )
    save_model(model, tokenizer, out)
    checkpoint.finish()
    metric = headline(params.score, validation.labels, validation.names)
    return f"{parameter_count(model) / 1e6:.1f}M parameters, validation {metric} {result[metric]:.3f}, in {out}"
