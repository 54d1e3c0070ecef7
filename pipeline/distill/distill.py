"""The distill stage's work: checks, the student, the loop, and what is kept of it."""

from pathlib import Path

import pyarrow as pa
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from pipeline.compute import distributed
from pipeline.data.texts import read_texts
from pipeline.distill.dataset import read_dataset
from pipeline.distill.loop import Log, distill
from pipeline.errors import InputError
from pipeline.evaluation.scoring import headline
from pipeline.evaluation.validation import Validation
from pipeline.models.compatibility import check_ids, check_labels, check_length, check_sizes, check_vocabulary
from pipeline.models.loading import load_classifier, load_config, load_tokenizer, parameter_count
from pipeline.models.saving import save_model
from pipeline.models.student import build_student, load_student_tokenizer
from pipeline.params.objectives import LIVE
from pipeline.params.schema import Params
from pipeline.storage.atomic import publish_file
from pipeline.storage.checksums import checksum
from pipeline.storage.fingerprint import file_hash, folder_hash
from pipeline.storage.parquet import write_table
from pipeline.training.checkpoint import Checkpoint, model_hash


def distill_student(
    params: Params,
    *,
    prepared: Path,
    augmented: Path,
    cache: Path,
    teacher: Path,
    out: Path,
    selection: Path,
    learner: Path,
    log: Log,
    earlier: tuple[Path, Path] | None = None,
) -> str:
    """Distil the teacher into a student folder and write π(z) of every neighbour; says what came of it.

    Args:
        learner: file for W and the policy, for a later round.
        earlier: student folder and learner file of the round before, to go on from.
    """
    validation = read_texts(prepared / "validation.parquet")
    if earlier is None:
        student = build_student(params, teacher=teacher, labels=validation.names, pairs=validation.pairs is not None)
    else:
        student = load_classifier(earlier[0], "student", validation.names)
    learnt = None if earlier is None else _load_learner(earlier[1])
    tokenizer = load_student_tokenizer(params, teacher=teacher)
    teacher_config = load_config(teacher, "teacher")
    check_labels(teacher_config, validation.names, "teacher")
    check_vocabulary(params.objectives, tokenizer, load_tokenizer(teacher, "teacher"))
    check_sizes(params.objectives, student.config, teacher_config)
    check_ids(tokenizer, student.config, "student")
    check_length(params.max_length, tokenizer, student.config, "student")
    lessons = read_dataset(params, prepared=prepared, augmented=augmented, cache=cache, tokenizer=tokenizer)
    teacher_hash = folder_hash(teacher)
    if lessons.cache.teachers != {teacher_hash}:
        raise InputError(f"{cache}: made by another teacher than {teacher}; run the cache_teacher stage again")
    scored = Validation(validation, tokenizer, params.max_length)
    live = None
    if params.objectives.on(LIVE):
        live = load_classifier(teacher, "teacher").to(distributed.device()).eval()
    drawn = folder_hash(augmented, "*.parquet")
    sections = {"task", "seed", "max_length", "student", "objectives", "distill", "selector"}
    checkpoint = Checkpoint(
        "distill",
        __name__,
        params=params.model_dump(include=sections),
        texts=[file_hash(prepared / f"{name}.parquet") for name in ("source", "train", "validation")],
        augmented=drawn,
        # Each has the hashes of its arrays, and they have been compared.
        cache=[file_hash(file) for file in sorted(cache.glob("*.parquet"))],
        teacher=teacher_hash,
        start=model_hash(student, tokenizer),
        learner=None if earlier is None else file_hash(earlier[1]),
    )
    # The loop seeds torch's global generator, from which dropout draws.
    with torch.random.fork_rng():
        width = teacher_config.hidden_size
        done = distill(
            student, width, lessons, scored, params, log, learner=learnt, teacher=live, checkpoint=checkpoint
        )

    neighbours = lessons.neighbour
    table = pa.table(
        {
            "id": pa.array([id_ for id_, there in zip(lessons.ids, neighbours, strict=True) if there], pa.string()),
            "domain": pa.array(lessons.domains[neighbours].tolist(), pa.string()),
            "pi": done.pi[neighbours],
            "kept": done.kept[neighbours],
        },
        # The same ids stand for other texts once params have changed.
        metadata={"augmented": drawn},
    )
    with publish_file(selection) as temporary:
        write_table(table, temporary)
        with publish_file(learner) as weights:
            save_file(done.learner, weights, metadata={"checksum": checksum(done.learner)})
            # It is cut where it was taught to read, and where it is served.
            tokenizer.model_max_length = params.max_length
            # The student appears first, and only if the selection that goes with it could be written.
            save_model(student, tokenizer, out)
    checkpoint.finish()
    return (
        f"{parameter_count(student) / 1e6:.1f}M parameters, validation {headline(validation.names)} "
        f"{done.best.metric:.3f} after epoch {done.epoch} of {done.epochs} ({done.steps:,} steps, "
        f"{done.kept[neighbours].sum():,} of {neighbours.sum():,} neighbours kept at the end), in {out}"
    )


def _load_learner(path: Path) -> dict[str, torch.Tensor]:
    """Read W and the policy. Raises InputError naming the file if it is not what was written."""
    again = "run the distill stage of the round before again"
    try:
        with safe_open(path, "pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            written = (file.metadata() or {}).get("checksum")
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: no safetensors file ({error}); {again}") from None
    if written != checksum(weights):
        raise InputError(f"{path}: {'damaged' if written else 'no checksum in its metadata'}; {again}")
    return weights
