"""The distill stage: checks, the student, Algorithm 1, and what is written of its outcome."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.compute import distributed
from pipeline.data.texts import Texts, read_texts
from pipeline.distill.dataset import DistillationDataset, read_dataset
from pipeline.distill.loop import distill
from pipeline.distill.run import Distillation
from pipeline.distill.state import DistillationResult, Log
from pipeline.errors import InputError
from pipeline.evaluation.validation import Validation
from pipeline.models.compatibility import check_labels, check_length, check_sizes, check_words
from pipeline.models.families import check_conversion
from pipeline.models.ids import check_ids
from pipeline.models.label_scale import LabelScale
from pipeline.models.loading import load_classifier, load_config, load_tokenizer, parameter_count
from pipeline.models.saving import save_model
from pipeline.models.student import build_student, load_student_tokenizer
from pipeline.params.schema import Params
from pipeline.storage.atomic import publish_file
from pipeline.storage.checksums import checksum
from pipeline.storage.fingerprint import file_hash, folder_hash
from pipeline.storage.parquet import write_table
from pipeline.training.checkpoint import Checkpoint, Tensors, model_hash
from pipeline.training.cosine_start import start_from_cosine


def distill_student(
    params: Params,
    *,
    prepared: Path,
    augmented: Path,
    cache: Path,
    teacher: Path,
    out: Path,
    selection: Path,
    projection_and_policy: Path,
    log: Log,
    earlier: tuple[Path, Path] | None = None,
) -> str:
    """Distil the teacher into a student folder, and write π(z) of every neighbour and droppable original.

    Args:
        cache: folder of the teacher's cache.
        selection: Parquet file for π(z) and the last decision.
        projection_and_policy: file for W and the policy, for a later round.
        log: called with a step's number and metrics by name.
        earlier: student folder, and file of projection and policy, of the previous round, to continue from.

    Returns a sentence with the result. Raises InputError, before anything is trained, if the models, the cache and the
    params do not fit together.
    """
    train, validation = (read_texts(prepared / f"{name}.parquet") for name in ("train", "validation"))
    names, scale = validation.names, LabelScale.of(train.labels, train.names)
    if earlier is None:
        pairs = validation.pairs is not None
        student = build_student(params, teacher=teacher, labels=names, pairs=pairs, scale=scale)
    else:
        student = load_classifier(earlier[0], "student", names, scale)
    earlier_tensors = None if earlier is None else _read_projection_and_policy(earlier[1])
    tokenizer = load_student_tokenizer(params, teacher=teacher)
    teacher_config = load_config(teacher, "teacher")
    check_labels(teacher_config, names, "teacher")
    _check(params, student, tokenizer, teacher_config, train)
    if earlier is None:
        start_from_cosine(student, tokenizer, train, params.max_length)
    dataset = read_dataset(
        params,
        prepared=prepared,
        augmented=augmented,
        cache=cache,
        tokenizer=tokenizer,
        teacher_tokenizer=load_tokenizer(teacher, "teacher"),
    )
    # Of two million texts, reading leaves 200 MB to the allocator that the loop would not use.
    pa.default_memory_pool().release_unused()
    teacher_hash = folder_hash(teacher)
    if dataset.cache.teachers != {teacher_hash}:
        raise InputError(f"{cache}: made by another teacher than {teacher}; run the cache_teacher stage again")
    augmented_hash = folder_hash(augmented, "*.parquet")
    checkpoint = Checkpoint(
        "distill",
        __name__,
        params=params.model_dump(
            include={"task", "seed", "score", "max_length", "pairs", "student", "objectives", "distill", "selector"}
        ),
        texts=[file_hash(prepared / f"{name}.parquet") for name in ("source", "train", "validation", "unlabelled")],
        augmented=augmented_hash,
        # Each index holds the hashes of its arrays, and TeacherCache has compared them.
        cache=[file_hash(file) for file in sorted(cache.glob("*.parquet"))],
        teacher=teacher_hash,
        start=model_hash(student, tokenizer),
        projection_and_policy=None if earlier is None else file_hash(earlier[1]),
    )
    live_teacher = None
    if params.objectives.active(lambda objective: objective.live):
        live_teacher = load_classifier(teacher, "teacher").to(distributed.device()).eval()
    # The loop is on the scale of `dataset`: its losses, the validation, and what the policy sees.
    scale.standardise_head(student)
    validation = replace(validation, labels=scale.standardised(validation.labels))
    scorer = Validation(validation, tokenizer, params.max_length, params.score)
    # A run seeds torch's global generator, from which dropout draws.
    with torch.random.fork_rng():
        run = Distillation(
            student,
            teacher_config.hidden_size,
            dataset,
            scorer,
            params,
            log,
            earlier=earlier_tensors,
            teacher=live_teacher,
            checkpoint=checkpoint,
        )
        result = distill(run)
    scale.put_into_head(student)

    with publish_file(selection) as temporary:
        write_table(_selection_table(dataset, result, augmented_hash), temporary)
        with publish_file(projection_and_policy) as temporary_tensors:
            tensors = result.projection_and_policy
            save_file(tensors, temporary_tensors, metadata={"checksum": checksum(tensors)})
            # Where the student is served, texts are cut as they were in training.
            tokenizer.model_max_length = params.max_length
            # Last, so that the student appears only if the selection that goes with it could be written.
            save_model(student, tokenizer, out)
    checkpoint.finish()
    kept = result.kept[dataset.droppable]
    originals = dataset.droppable[dataset.neighbours :].any()
    return (
        f"{parameter_count(student) / 1e6:.1f}M parameters, validation {scorer.metric} "
        f"{result.best.metric:.3f} after epoch {result.epoch} of {result.epochs} ({result.steps:,} steps, "
        f"{kept.sum():,} of {len(kept):,} neighbours{' and originals' if originals else ''} kept at the end), in {out}"
    )


def _check(
    params: Params, student: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, teacher_config: Any, train: Texts
) -> None:
    """Raise InputError if the student cannot learn from this teacher, or cannot read the texts."""
    check_sizes(params.objectives, student.config, teacher_config)
    check_ids(tokenizer, student.config, "student")
    if params.student.model is not None:
        # The teacher stage checks both, too, but need not have run since the student was named.
        check_words(tokenizer, train.texts, f"student.model: {params.student.model}")
        check_conversion(student.config, "student.model", "accepted: another family")
    check_length(params.max_length, tokenizer, student, "the student")


def _selection_table(dataset: DistillationDataset, result: DistillationResult, augmented_hash: str) -> pa.Table:
    """`id`, `domain`, `pi` and `kept` of every droppable text; the metadata hold the hash of the neighbours' shards."""
    rows = dataset.droppable
    return pa.table(
        {
            "id": dataset.ids.filter(pa.array(rows)),
            "domain": dataset.domains.filter(pa.array(rows)),
            "pi": result.pi[rows],
            "kept": result.kept[rows],
        },
        # The same ids belong to other texts once params have changed.
        metadata={"augmented": augmented_hash},
    )


def _read_projection_and_policy(path: Path) -> Tensors:
    """Read W and the policy. Raises InputError naming the file if it is missing or damaged."""
    again = "run the distill stage of the previous round again"
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            expected = (file.metadata() or {}).get("checksum")
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: not a safetensors file ({error}); {again}") from error
    if expected != checksum(tensors):
        raise InputError(f"{path}: {'damaged' if expected else 'no checksum in its metadata'}; {again}")
    return tensors
