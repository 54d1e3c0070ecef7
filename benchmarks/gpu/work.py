"""The pipeline's work on the inputs of a folder, stage by stage: seconds and memory, and the outputs to compare."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

from benchmarks.gpu.formats import variable
from benchmarks.gpu.inputs import MODEL, PREPARED, read_params, with_rounded_adapter
from pipeline.augment.augment import augment
from pipeline.augment.generator import prepare_generator
from pipeline.compute import distributed
from pipeline.compute.precision import precision
from pipeline.data.texts import read_texts
from pipeline.distill.cache_teacher import cache_teacher
from pipeline.distill.distill import distill_student
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.predicting import predict
from pipeline.models.loading import load_classifier, load_tokenizer
from pipeline.params.schema import Params
from pipeline.training.teacher import train_teacher

LOGITS, AUGMENTED, EVALUATION = "logits.safetensors", "augmented", "evaluation.json"
"""The outputs that are compared."""


@dataclass(frozen=True)
class Spent:
    """What a stage took."""

    seconds: float
    memory: int | None
    """The most bytes that its tensors had on the GPU at once; None on a CPU."""


def do_work(folder: Path, out: Path) -> dict[str, Spent]:
    """Run the stages from fine-tuning to evaluation into `out`, each timed, and the classifier of the inputs.

    The work cache is in `out`, too, so that nothing is taken from earlier runs. Raises InputError as the stages do.
    """
    params, prepared = read_params(folder), folder / PREPARED
    teacher, student, generator = out / "teacher", out / "student", out / "generator"
    augmented, cache = out / AUGMENTED, out / "cache"
    stages: dict[str, Callable[[], object]] = {
        "teacher": lambda: train_teacher(params, prepared=prepared, out=teacher, metrics=out / "teacher.json"),
        "augment": lambda: augment(params, prepared=prepared, generator=generator, out=augmented),
        "cache_teacher": lambda: cache_teacher(
            params, prepared=prepared, augmented=augmented, teacher=teacher, out=cache
        ),
        "distill": lambda: distill_student(
            params,
            prepared=prepared,
            augmented=augmented,
            cache=cache,
            teacher=teacher,
            out=student,
            selection=out / "selection.parquet",
            projection_and_policy=out / "projection_and_policy.safetensors",
            log=lambda _step, _metrics: None,
        ),
        "evaluate": lambda: evaluate(
            params,
            prepared=prepared,
            folders={"teacher": teacher, "student": student},
            metrics=out / EVALUATION,
            plots=out / "predictions.csv",
        ),
    }
    with variable("XDG_CACHE_HOME", str(out / "work_cache")):
        rounded = with_rounded_adapter(params, out / "adapter.safetensors")
        prepare_generator(rounded, out=generator, metrics=out / "generator.json")
        # First, so that no stage pays for what a device does once.
        _classify(params, folder, out)
        return {name: _spent(stage) for name, stage in stages.items()}


def _classify(params: Params, folder: Path, out: Path) -> None:
    """Write the logits of the inputs' own classifier, whose weights are the same everywhere, for the test texts."""
    model, tokenizer = load_classifier(folder / MODEL, "model"), load_tokenizer(folder / MODEL, "model")
    texts = read_texts(folder / PREPARED / "test.parquet")
    with precision(distributed.device()):
        logits = predict(model, tokenizer, texts, params.max_length)
    save_file({"logits": torch.from_numpy(logits)}, out / LOGITS)


def _spent(stage: Callable[[], object]) -> Spent:
    device = distributed.device()
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    start = time.perf_counter()
    stage()
    seconds = time.perf_counter() - start
    return Spent(seconds, torch.cuda.max_memory_allocated(device) if on_gpu else None)
