"""What the bench runs: the project's own stages on the params of a task and a row, failures kept as results."""

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
    """Do work that fills the folder `out`; if it fails, `out` says why in one line, and so does this function.

    So one cell that fails stops no other, and whatever goes on from it says the same. A full disk or too little memory
    is no result: those are raised.
    """
    said = None
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
            said = " ".join(f"{'' if isinstance(error, InputError) else type(error).__name__ + ': '}{error}".split())
            for left in folder.iterdir():
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            (folder / FAILED).write_text(f"{said}\n", encoding="utf-8")
        else:
            shutil.rmtree(folder / TEMPORARY, ignore_errors=True)
    if said:
        print(f"{out}: failed: {said}", file=sys.stderr)
    return said


def made(folder: Path) -> Path:
    """The folder of an earlier cell. Raises InputError with its words if it failed."""
    if (folder / FAILED).is_file():
        raise InputError((folder / FAILED).read_text(encoding="utf-8").strip())
    return folder


def params_of(task: str, row: str, seed: int) -> Params:
    """The planned params with a seed."""
    return load(PLAN / task / f"{row}.yaml").model_copy(update={"seed": seed})


def prepare(task: str, seed: int) -> str | None:
    """Texts of a task, for all its rows."""
    from pipeline.data.prepare import prepare as work

    return attempt(
        SHARED / task / str(seed) / "prepared",
        lambda folder: work(params_of(task, "l2a", seed), out=folder / "texts", metrics=folder / "data.json"),
    )


def teacher(task: str, seed: int) -> str | None:
    """The teacher of a task, for all rows but those that have their own."""
    from pipeline.training.teacher import train_teacher

    here = SHARED / task / str(seed)
    return attempt(
        here / "teacher",
        lambda folder: train_teacher(
            params_of(task, "l2a", seed),
            prepared=made(here / "prepared") / "texts",
            out=folder / "model",
            metrics=folder / "teacher.json",
        ),
    )


def generator(task: str) -> str | None:
    """The masked language model of a task."""
    from pipeline.augment.generator import publish

    return attempt(
        SHARED / task / "generator",
        lambda folder: publish(params_of(task, "l2a", 1), out=folder / "model", metrics=folder / "made.json"),
    )


def row(task: str, name: str, seed: int) -> str | None:
    """Make a row's model and measure it: `metrics.json`, `predictions.csv` and the model in a folder."""
    from pipeline.evaluation.evaluate import evaluate

    def work(folder: Path) -> None:
        given, params = read_row(name), params_of(task, name, seed)
        here = SHARED / task / str(seed)
        prepared = made(here / "prepared") / "texts"
        if given.measure == "student":
            before = None if given.after is None else made(MEASURED / task / given.after / str(seed))
            if before is not None and params.selector.kind == "random":
                params, before = _as_often(params, before), None
            model = _student(params, folder, SHARED / task / "generator", here, before)
        else:
            model = _fine_tuned(given.measure, params, params_of(task, "l2a", seed), folder, here)
        evaluate(
            params,
            prepared=prepared,
            folders={"model": model},
            metrics=folder / TEMPORARY / "metrics.json",
            plots=folder / "predictions.csv",
        )
        numbers = json.loads((folder / TEMPORARY / "metrics.json").read_text())["model"]
        # How fast it ran beside whatever else was running is no result.
        numbers = {key: value for key, value in numbers.items() if key != "sentences_per_second"}
        kept = _kept(folder)
        if kept is not None:
            numbers["kept"] = round(kept, 4)
        (folder / "metrics.json").write_text(json.dumps(numbers, indent=2) + "\n")

    return attempt(MEASURED / task / name / str(seed), work)


def _fine_tuned(measure: str, params: Params, shared_params: Params, folder: Path, here: Path) -> Path:
    from pipeline.training.student_ft import train_student_ft
    from pipeline.training.teacher import train_teacher

    prepared = made(here / "prepared") / "texts"
    model = folder / "model"
    if measure == "student_ft":
        train_student_ft(params, prepared=prepared, out=model)
    elif params.teacher == shared_params.teacher:
        return made(here / "teacher") / "model"
    else:
        train_teacher(params, prepared=prepared, out=model, metrics=folder / "teacher.json")
    return model


def _student(params: Params, folder: Path, generator: Path, here: Path, before: Path | None) -> Path:
    """Augment, cache and distil, round after round; what another row has made too is taken from the work cache.

    Args:
        generator: folder of the masked language model.
        here: folder of the texts and the teacher.
        before: folder of a row whose first round this one goes on from.
    """
    from pipeline.augment.augment import augment
    from pipeline.augment.refined import refine_generator
    from pipeline.distill.cache_teacher import cache_teacher
    from pipeline.distill.distill import distill_student

    prepared, teacher = made(here / "prepared") / "texts", made(here / "teacher") / "model"
    draws = made(generator) / "model"
    earlier: tuple[Path, Path] | None = None
    first = 1
    if before is not None:
        earlier, first = (before / "student", before / "learner.safetensors"), 2
    for number in range(first, params.rounds + 1):
        augmented, cache = (folder / TEMPORARY / f"{what}-{number}" for what in ("augmented", "teacher"))
        if number > 1:
            drawn = folder / TEMPORARY / f"augmented-{number - 1}"
            if before is not None and number == 2:
                augment(params, prepared=prepared, generator=draws, out=drawn)
            selection = (before if before is not None and number == 2 else folder) / "selection.parquet"
            learnt = folder / TEMPORARY / f"generator-{number}"
            refine_generator(
                params,
                augmented=drawn,
                selection=selection,
                generator=draws,
                out=learnt,
                metrics=folder / f"refine-{number}.json",
            )
            draws = learnt
        augment(params, prepared=prepared, generator=draws, out=augmented, number=number)
        cache_teacher(params, prepared=prepared, augmented=augmented, teacher=teacher, out=cache)
        distill_student(
            params,
            prepared=prepared,
            augmented=augmented,
            cache=cache,
            teacher=teacher,
            out=folder / "student",
            selection=folder / "selection.parquet",
            learner=folder / "learner.safetensors",
            log=lambda _step, _figures: None,
            earlier=earlier,
        )
        earlier = (folder / "student", folder / "learner.safetensors")
    return folder / "student"


def _as_often(params: Params, before: Path) -> Params:
    """The params of a selector that keeps as many neighbours, by chance, as that of another row."""
    # Neither 0 nor 1 is a chance.
    rate = min(max(_kept(before) or 0.0, 0.0001), 0.9999)
    return params.model_copy(update={"selector": params.selector.model_copy(update={"initial_keep": rate})})


def _kept(folder: Path) -> float | None:
    """Share of neighbours that the last epoch kept; None if there are none."""
    selection = folder / "selection.parquet"
    kept = pd.read_parquet(selection)["kept"] if selection.is_file() else pd.Series()
    return float(kept.mean()) if len(kept) else None
