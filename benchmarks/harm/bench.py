"""Does the selector drop what harms the student? A share of what is taught is replaced, and it is not told which.

    python -m benchmarks.harm.bench measure KIND SEED
    python -m benchmarks.harm.bench table

Texts, teacher and neighbours of a seed are kept in `made/`.
"""

import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import typer

from benchmarks.errors import exit_on_input_error
from benchmarks.harm.plant import KINDS, flip, plant
from benchmarks.speed.measure import machine
from pipeline.distill.dataset import DistillationDataset, read_dataset
from pipeline.distill.loop import distill
from pipeline.distill.run import Distillation
from pipeline.errors import InputError
from pipeline.params.file import load
from pipeline.params.overlay import merge
from pipeline.params.schema import Params
from pipeline.storage.fingerprint import fingerprint
from pipeline.storage.json_file import write_json

HERE = Path(__file__).parent
MADE, RESULTS = HERE / "made", HERE / "results"
SHARE = 0.4
"""Of the neighbours, replaced."""
CHANGES: dict[str, dict[str, Any]] = {
    "data": {"source": {"sentences": None}},
    "augment": {"samples": {"source": 1}},
    "distill": {"originals": ["target"]},
}
"""Of the preset quick: neighbours of the source's texts in place of sentences, so that harm can be planted."""
WITHOUT = "without harm"
ARMS: dict[str, dict[str, Any]] = {
    "everything": {"kind": "none"},
    "selector": {},
    "paper": {"reward": "metric", "hidden": 128, "learning_rate": 3e-5},
    WITHOUT: {"kind": "none"},
}
"""The selector of each student; the last one is taught nothing of what was planted."""
ALL = (*KINDS, "clean")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)


def bench_params(seed: int) -> Params:
    """The preset quick with its changes."""
    params = load(HERE.parents[1] / "presets" / "quick.yaml").model_dump()
    return Params.model_validate(merge(params, CHANGES) | {"seed": seed})


def of_all_arms(params: Params) -> dict[str, Any]:
    """The params on which texts, teacher and neighbours depend, and in which students with two selectors are alike."""
    return params.model_dump(mode="json", exclude={"selector"})


def make(params: Params, folder: Path, kind: str, share: float) -> tuple[Path, Path]:
    """Texts, teacher and neighbours of a seed, once; then the neighbours of a kind and the teacher's answers to them.

    Returns the folders of these two; `planted.json` beside them has the ids. What was made with other params is made
    anew.
    """
    from pipeline.augment.augment import augment
    from pipeline.augment.generator import prepare_generator
    from pipeline.data.prepare import prepare
    from pipeline.distill.cache_teacher import cache_teacher
    from pipeline.training.teacher import train_teacher

    made = folder / "params.json"
    if not made.is_file() or json.loads(made.read_text()) != of_all_arms(params):
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        write_json(made, of_all_arms(params))
    prepared, teacher, generator = folder / "prepared", folder / "teacher", folder / "generator"
    neighbours, here = folder / "augmented", folder / kind
    if not prepared.exists():
        prepare(params, out=prepared, metrics=folder / "data.json")
    if not teacher.exists():
        train_teacher(params, prepared=prepared, out=teacher, metrics=folder / "teacher.json")
    if not neighbours.exists():
        prepare_generator(params, out=generator, metrics=folder / "generator.json")
        augment(params, prepared=prepared, generator=generator, out=neighbours)
    changed, cache = here / "augmented", here / "teacher"
    planted = here / "planted.json"
    if not planted.is_file() or json.loads(planted.read_text())["share"] != share:
        shutil.rmtree(here, ignore_errors=True)
        texts_change = kind not in ("clean", "flipped")
        ids = plant(neighbours, changed, kind, share if texts_change else 0.0, params.seed)
        cache_teacher(params, prepared=prepared, augmented=changed, teacher=teacher, out=cache)
        write_json(planted, {"share": share, "ids": ids})
    return changed, cache


def train(params: Params, folder: Path, kind: str, arm: str, share: float) -> dict[str, float]:
    """Distil a student with the selector of an arm: its accuracy on the test texts, and what was kept in the end."""
    from pipeline.data.texts import read_texts
    from pipeline.evaluation.validation import Validation
    from pipeline.models.loading import load_config, load_tokenizer
    from pipeline.models.student import build_student, load_student_tokenizer

    changed, cache = make(params, folder, kind, share)
    selector = params.selector.model_validate(params.selector.model_dump() | ARMS[arm])
    params = params.model_copy(update={"selector": selector})
    prepared, teacher = folder / "prepared", folder / "teacher"
    tokenizer = load_student_tokenizer(params, teacher=teacher)
    teacher_tokenizer = load_tokenizer(teacher, "teacher")
    dataset = read_dataset(
        params,
        prepared=prepared,
        augmented=changed,
        cache=cache,
        tokenizer=tokenizer,
        teacher_tokenizer=teacher_tokenizer,
    )
    ids = set(json.loads((folder / kind / "planted.json").read_text())["ids"])
    harm = np.array([id_ in ids for id_ in dataset.ids.to_pylist()])
    if kind == "flipped":
        harm = flip(dataset, share, params.seed)
    if arm == WITHOUT:
        dataset, harm = rows_of(dataset, np.flatnonzero(~harm)), harm[~harm]
    validation, test = read_texts(prepared / "validation.parquet"), read_texts(prepared / "test.parquet")
    student = build_student(params, teacher=teacher, labels=validation.names, pairs=validation.pairs is not None)
    width = load_config(teacher, "teacher").hidden_size
    scorers = [Validation(texts, tokenizer, params.max_length) for texts in (validation, test)]
    start = time.perf_counter()
    result = distill(Distillation(student, width, dataset, scorers[0], params, lambda _step, _figures: None))
    seconds = time.perf_counter() - start
    figures = {"accuracy": scorers[1].score(student).metric, "seconds": round(seconds, 1)}
    for name, rows in (("rest kept", dataset.droppable & ~harm), ("harm kept", harm)):
        if rows.any():
            figures[name] = round(float(result.kept[rows].mean()), 4)
    return figures


def rows_of(dataset: DistillationDataset, rows: npt.NDArray[np.int64]) -> DistillationDataset:
    """Some rows of a dataset."""
    types = dataset.encoded.token_type_ids
    return replace(
        dataset,
        neighbours=int((rows < dataset.neighbours).sum()),
        ids=dataset.ids.take(pa.array(rows)),
        domains=dataset.domains.take(pa.array(rows)),
        droppable=dataset.droppable[rows],
        labels=dataset.labels[rows],
        log_p=dataset.log_p[rows],
        encoded=replace(
            dataset.encoded,
            input_ids=dataset.encoded.input_ids.take(rows),
            token_type_ids=None if types is None else types.take(rows),
        ),
        cache_rows=dataset.cache_rows[rows],
    )


@app.command()
def measure(
    kind: Annotated[str, typer.Argument(help=f"One of {', '.join(ALL)}.")],
    seed: Annotated[int, typer.Argument(help="Of texts, teacher, harm and student.")],
    arm: Annotated[list[str] | None, typer.Option(help="Measure these alone; the others stay as they are.")] = None,
) -> None:
    """Train the students of a kind of harm and write their figures into results/KIND-SEED.json."""
    with exit_on_input_error():
        if kind not in ALL:
            raise InputError(f"kind: got {kind}; accepted: {', '.join(ALL)}")
        arms = [name for name in ARMS if kind != "clean" or name != WITHOUT]
        for name in arm or ():
            if name not in arms:
                raise InputError(f"--arm: got {name}; accepted: {', '.join(arms)}")
        file = RESULTS / f"{kind}-{seed}.json"
        for name in arm or arms:
            params = bench_params(seed)
            figures = train(params, MADE / str(seed), kind, name, SHARE)
            typer.echo(f"{kind} {seed} {name}: {figures}")
            settings = {"share": SHARE, "params": fingerprint(**of_all_arms(params))}
            known = json.loads(file.read_text()) if file.is_file() else {}
            # Arms of other settings are not beside this one.
            measured = known["arms"] if settings.items() <= known.items() else {}
            measured[name] = figures
            ordered = {each: measured[each] for each in ARMS if each in measured}
            write_json(file, settings | {"arms": ordered, "machine": machine()})


@app.command()
def table() -> None:
    """Print what has been measured as a Markdown table."""
    typer.echo(markdown({file.stem: json.loads(file.read_text())["arms"] for file in sorted(RESULTS.glob("*.json"))}))


def markdown(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """The accuracy of each arm and what the selector kept: a line for each kind and seed, from figures by KIND-SEED."""
    lines = [
        f"| harm | seed | {' | '.join(ARMS)} | gained | harm kept | rest kept |",
        f"|---|---|{'---:|' * (len(ARMS) + 3)}",
    ]
    for name in sorted(results, key=lambda name: (ALL.index(name.partition("-")[0]), name)):
        arms, (kind, _, seed) = results[name], name.partition("-")
        cells = [f"{arms[arm]['accuracy']:.4f}" if arm in arms else "" for arm in ARMS]
        selector = arms.get("selector", {})
        gained = selector.get("accuracy", np.nan) - arms.get("everything", {}).get("accuracy", np.nan)
        kept = [f"{selector[what]:.2f}" if what in selector else "" for what in ("harm kept", "rest kept")]
        lines.append(
            f"| {kind} | {seed} | {' | '.join([*cells, '' if np.isnan(gained) else f'{gained:+.4f}', *kept])} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    app()
