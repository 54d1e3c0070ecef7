"""Student-FT, what distillation has to beat: the student's architecture with the scarce labels and nothing else."""

from pathlib import Path

from pipeline.data.texts import read_texts
from pipeline.evaluation.scoring import headline
from pipeline.models.loading import parameter_count
from pipeline.models.saving import save_model
from pipeline.models.student import build_student, load_student_tokenizer
from pipeline.params.schema import Params
from pipeline.storage.fingerprint import file_hash
from pipeline.training.checkpoint import Checkpoint, model_hash
from pipeline.training.finetune import fine_tune


def train_student_ft(params: Params, *, prepared: Path, out: Path) -> str:
    """Fine-tune the student's architecture on the scarce target labels alone and write it.

    It starts from first layers of the encoder, where the student takes those of the fine-tuned teacher: those have
    seen labels that this comparison must do without.

    Returns what was made, in a few words.
    """
    given = params.evaluate.student_ft
    target = read_texts(prepared / "train.parquet")
    validation = read_texts(prepared / "validation.parquet")
    model = build_student(params, teacher=None, labels=target.names, pairs=target.pairs is not None)
    tokenizer = load_student_tokenizer(params, teacher=None)
    checkpoint = Checkpoint(
        "student_ft",
        __name__,
        params=params.model_dump(include={"task", "seed", "max_length", "student"}),
        fit=given.model_dump(),
        start=model_hash(model, tokenizer),
        texts=[file_hash(prepared / f"{name}.parquet") for name in ("train", "validation")],
    )
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
        checkpoint=checkpoint,
    )
    save_model(model, tokenizer, out)
    checkpoint.finish()
    metric = headline(target.names)
    return f"{parameter_count(model) / 1e6:.1f}M parameters, validation {metric} {learnt[metric]:.3f}, in {out}"
