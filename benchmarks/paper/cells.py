"""Cells of the benchmark: the project's stages on the params of a task and a row; a failure is kept as a result."""

import json
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from benchmarks.paper.plan import HERE, read_row
from pipeline.errors import InputError, out_of_memory
from pipeline.params.file import load
from pipeline.params.schema import Params
from pipeline.storage.atomic import publish_folder

PLAN, SHARED, MEASURED = HERE / "plan", HERE / "shared", HERE / "measured"
FAILED = "failed.txt"
TEMPORARY = "temporary"


def attempt(out: Path, work: Callable[[Path], object]) -> str | None:
    """Run `work`, which fills the folder `out`; if it fails, write the error as one line into `out` and return it.

    One cell that fails does not stop the others, and cells that start from it report the same error. A full disk or
    lack of memory is not a result: those errors are raised.
    """
    message = None
    with publish_folder(out) as folder:
        try:
            work(folder)
        except OSError:
            raise
        except Exception as error:
            if out_of_memory(error):
                raise
            if not isinstance(error, InputError):
                traceback.print_exc()
            message = " ".join(f"{'' if isinstance(error, InputError) else type(error).__name__ + ': '}{error}".split())
            for partial in folder.iterdir():
                shutil.rmtree(partial) if partial.is_dir() else partial.unlink()
            (folder / FAILED).write_text(f"{message}\n", encoding="utf-8")
        else:
            shutil.rmtree(folder / TEMPORARY, ignore_errors=True)
    if message:
        print(f"{out}: failed: {message}", file=sys.stderr)
    return message


def succeeded(folder: Path) -> Path:
    """The folder of an earlier cell. Raises InputError with its message if it failed."""
    if (folder / FAILED).is_file():
        raise InputError((folder / FAILED).read_text(encoding="utf-8").strip())
    return folder


def params_of(task: str, row: str, seed: int) -> Params:
    """The params of a cell: those of its task and row, with the seed."""
    return load(PLAN / task / f"{row}.yaml").model_copy(update={"seed": seed})


def prepare(task: str, seed: int) -> str | None:
    """Prepare the texts of a task, for all its rows."""
    from pipeline.data.prepare import prepare as work

    return attempt(
        SHARED / task / str(seed) / "prepared",
        lambda folder: work(params_of(task, "l2a", seed), out=folder / "texts", metrics=folder / "data.json"),
    )


def teacher(task: str, seed: int) -> str | None:
    """Train the teacher of a task, for all rows except those with their own."""
    from pipeline.training.teacher import train_teacher

    here = SHARED / task / str(seed)
    return attempt(
        here / "teacher",
        lambda folder: train_teacher(
            params_of(task, "l2a", seed),
            prepared=succeeded(here / "prepared") / "texts",
            out=folder / "model",
            metrics=folder / "teacher.json",
        ),
    )


def generator(task: str) -> str | None:
    """Prepare the masked language model of a task."""
    from pipeline.augment.generator import prepare_generator

    return attempt(
        SHARED / task / "generator",
        lambda folder: prepare_generator(params_of(task, "l2a", 1), out=folder / "model", metrics=folder / "made.json"),
    )


def row(task: str, name: str, seed: int) -> str | None:
    """Train and measure a row's model: writes `metrics.json`, `predictions.csv` and the model into a folder."""
    from pipeline.compute.distributed import device
    from pipeline.compute.precision import number_format
    from pipeline.evaluation.evaluate import evaluate

    def work(folder: Path) -> None:
        settings, params = read_row(name), params_of(task, name, seed)
        here = SHARED / task / str(seed)
        prepared = succeeded(here / "prepared") / "texts"
        if settings.measure == "student":
            before = None if settings.after is None else succeeded(MEASURED / task / settings.after / str(seed))
            if before is not None and params.selector.kind == "random":
                params, before = _with_rate_of(params, before), None
            model = _student(params, folder, SHARED / task / "generator", here, before)
        else:
            model = _fine_tuned(settings.measure, params, params_of(task, "l2a", seed), folder, here)
        evaluate(
            params,
            prepared=prepared,
            folders={"model": model},
            metrics=folder / TEMPORARY / "metrics.json",
            plots=folder / "predictions.csv",
        )
        numbers = json.loads((folder / TEMPORARY / "metrics.json").read_text())["model"]
        # Speed is not a result: other cells may have run at the same time.
        numbers = {key: value for key, value in numbers.items() if key != "sentences_per_second"}
        numbers["bfloat16"] = float(number_format(device()) == "bfloat16")
        kept = _kept(folder)
        if kept is not None:
            numbers["kept"] = round(kept, 4)
        (folder / "metrics.json").write_text(json.dumps(numbers, indent=2) + "\n")

    return attempt(MEASURED / task / name / str(seed), work)


def _fine_tuned(measure: str, params: Params, shared_params: Params, folder: Path, here: Path) -> Path:
    from pipeline.training.student_ft import train_student_ft
    from pipeline.training.teacher import train_teacher

    prepared = succeeded(here / "prepared") / "texts"
    model = folder / "model"
    if measure == "student_ft":
        train_student_ft(params, prepared=prepared, out=model)
    elif params.teacher == shared_params.teacher:
        return succeeded(here / "teacher") / "model"
    else:
        train_teacher(params, prepared=prepared, out=model, metrics=folder / "teacher.json")
    return model


def _student(params: Params, folder: Path, generator: Path, here: Path, before: Path | None) -> Path:
    """Augment, cache and distil, round after round; the same work of another row comes from the work cache.

    Args:
        generator: folder of the masked language model.
        here: folder of the texts and the teacher.
        before: folder of a row whose first round this one continues.
    """
    from pipeline.augment.augment import augment
    from pipeline.augment.refine import refine_generator
    from pipeline.distill.cache_teacher import cache_teacher
    from pipeline.distill.distill import distill_student

    prepared, teacher = succeeded(here / "prepared") / "texts", succeeded(here / "teacher") / "model"
    masked_lm = succeeded(generator) / "model"
    earlier: tuple[Path, Path] | None = None
    first = 1
    if before is not None:
        earlier, first = (before / "student", before / "projection_and_policy.safetensors"), 2
    for number in range(first, params.rounds + 1):
        augmented, cache = (folder / TEMPORARY / f"{what}-{number}" for what in ("augmented", "teacher"))
        if number > 1:
            previous = folder / TEMPORARY / f"augmented-{number - 1}"
            if before is not None and number == 2:
                augment(params, prepared=prepared, generator=masked_lm, out=previous)
            selection = (before if before is not None and number == 2 else folder) / "selection.parquet"
            refined = folder / TEMPORARY / f"generator-{number}"
            refine_generator(
                params,
                augmented=previous,
                selection=selection,
                generator=masked_lm,
                out=refined,
                metrics=folder / f"refine-{number}.json",
            )
            masked_lm = refined
        augment(params, prepared=prepared, generator=masked_lm, out=augmented, round_number=number)
        cache_teacher(params, prepared=prepared, augmented=augmented, teacher=teacher, out=cache)
        distill_student(
            params,
            prepared=prepared,
            augmented=augmented,
            cache=cache,
            teacher=teacher,
            out=folder / "student",
            selection=folder / "selection.parquet",
            projection_and_policy=folder / "projection_and_policy.safetensors",
            log=lambda _step, _figures: None,
            earlier=earlier,
        )
        earlier = (folder / "student", folder / "projection_and_policy.safetensors")
    return folder / "student"


def _with_rate_of(params: Params, before: Path) -> Params:
    """Params of a random selector that keeps as many neighbours as the selector of another row."""
    # The selector accepts neither 0 nor 1.
    rate = min(max(_kept(before) or 0.0, 0.0001), 0.9999)
    return params.model_copy(update={"selector": params.selector.model_copy(update={"initial_keep": rate})})


def _kept(folder: Path) -> float | None:
    """Share of neighbours kept in the last epoch; None if there are no neighbours."""
    selection = folder / "selection.parquet"
    kept = pd.read_parquet(selection)["kept"] if selection.is_file() else pd.Series()
    return float(kept.mean()) if len(kept) else None
