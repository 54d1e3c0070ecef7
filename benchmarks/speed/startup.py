"""Start-up of the stages of the default: processor seconds within imports, and modules.

    python -m benchmarks.speed.startup --against PATH

Every stage runs to its end, imports inside functions included, on the default's params with small tables and models of
the default's families with narrow layers. Beside it runs the code of another checkout, PATH, which has a `.venv` of its
own. The two take turns stage by stage; figures are medians of five rounds after one of warm-up. Seconds are of the
processor: `python -X importtime` tells where they go, but counts those in which other programs ran, too.
"""

import csv
import os
import shutil
import statistics
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from transformers import AutoModel, AutoModelForMaskedLM

from benchmarks.errors import exit_on_input_error
from benchmarks.speed.measure import ROUNDS, Figure, publish, ratio
from benchmarks.speed.processes import checkouts
from pipeline.augment.adapter import save_adapter, with_adapter
from pipeline.errors import InputError
from pipeline.models.loading import load_config, load_tokenizer
from pipeline.models.saving import save_model
from pipeline.params.yaml12 import read_yaml, to_yaml

STAGES = (
    "commits", "tables", "prepare", "generator", "teacher", "rounds", "augment", "cache_teacher", "distill",
    "student_ft", "evaluate", "export", "share", "report",
)  # fmt: skip
SKIPPED = "a stage of a round that params do not ask for"
"""Of these the default has eight."""
PROCESSES = dict.fromkeys(STAGES, 1) | {SKIPPED: 8}
MODELS = ("generator", "teacher", "augment", "cache_teacher", "distill", "student_ft", "evaluate", "export")
"""The stages that run a model."""
LEAST = "transformers with torch alone"
TO_A_MODEL = "import gc; gc.set_threshold(50_000); from transformers import PreTrainedModel"
"""The least that a stage with a model imports: every model of transformers imports these modules."""
NARROW = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
IMPORT_SECONDS = Path(__file__).with_name("import_seconds.py")


@dataclass(frozen=True)
class Imports:
    """The modules of a process, and the seconds in which they were imported."""

    seconds: float
    modules: int


def main(against: Annotated[Path, typer.Option(help="Folder of another checkout.")]) -> None:
    """Measure both builds on the same tables and models, each with the params that it knows."""
    builds = checkouts(against)
    measured: dict[str, dict[str, list[Imports]]] = {
        build: {name: [] for name in (*PROCESSES, LEAST)} for build in builds
    }
    with tempfile.TemporaryDirectory() as scratch:
        folders = {build: Path(scratch, build) for build in builds}
        for build, checkout in builds.items():
            write_inputs(folders[build], checkout)
        for _ in range(1 + ROUNDS):
            for name in (*PROCESSES, LEAST):
                for build, checkout in builds.items():
                    measured[build][name].append(imports(command(name), checkout, folders[build]))
    publish("startup", figures(measured["ours"], measured["other"]))


def figures(ours: dict[str, list[Imports]], other: dict[str, list[Imports]]) -> list[Figure]:
    """A row for each stage, and the sums over the processes of the default, against what cannot be left out."""
    seconds = {"ours": _sums(ours), "other": _sums(other)}
    seconds["bound"] = [len(MODELS) * each.seconds for each in ours[LEAST][1:]]
    rows = []
    for name in (*PROCESSES, LEAST):
        (mine, modules), (theirs, their_modules) = (_typical(build[name]) for build in (ours, other))
        unit = f"s, {modules:,} modules; the other build {theirs:.3g} s, {their_modules:,} modules"
        rows.append(Figure(name, mine, unit))
    return [
        Figure("all processes: faster than the other build", ratio(seconds, "other", "ours"), "times", 2),
        Figure("all processes", statistics.median(seconds["ours"]), "s"),
        Figure("all processes: the other build", statistics.median(seconds["other"]), "s"),
        Figure("of it transformers and torch, which every model imports", 100 * ratio(seconds, "bound", "ours"), "%"),
        Figure("the most that could be reached", ratio(seconds, "other", "bound"), "times"),
        *rows,
    ]


def _sums(build: dict[str, list[Imports]]) -> list[float]:
    """Seconds of all processes of the default in each round after the warm-up."""
    turns = range(1, 1 + ROUNDS)
    return [sum(count * build[name][turn].seconds for name, count in PROCESSES.items()) for turn in turns]


def _typical(rounds: list[Imports]) -> tuple[float, int]:
    return statistics.median(each.seconds for each in rounds[1:]), rounds[-1].modules


def command(name: str) -> list[str]:
    """Options of Python that run a stage, or that import what every stage with a model does."""
    if name == LEAST:
        return ["-c", TO_A_MODEL]
    return ["-m", "stages.distill", "--round", "2"] if name == SKIPPED else ["-m", f"stages.{name}"]


def imports(words: list[str], checkout: Path, folder: Path) -> Imports:
    """Run Python in `folder` with an empty work cache on a checkout's code. Raises InputError if it fails."""
    shutil.rmtree(folder / "cache", ignore_errors=True)
    seconds, modules = measured(IMPORT_SECONDS, words, checkout, folder, {"HF_HUB_OFFLINE": "1"})
    return Imports(seconds, int(modules))


def measured(
    wrapper: Path, words: list[str], checkout: Path, folder: Path, environment: dict[str, str]
) -> tuple[float, float]:
    """The two numbers that a wrapper writes of what it runs, with a checkout's code. Raises InputError if it fails."""
    environment |= {"PYTHONPATH": str(checkout), "XDG_CACHE_HOME": str(folder / "cache")}
    arguments = [str(checkout / ".venv/bin/python"), "-P", str(wrapper), "measured", *words]
    done = subprocess.run(
        arguments, cwd=folder, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise InputError(f"{' '.join(words)}: exit code {done.returncode}: {' '.join(done.stderr.splitlines()[-1:])}")
    first, second = (folder / "measured").read_text(encoding="ascii").split()
    return float(first), float(second)


def write_inputs(folder: Path, checkout: Path) -> None:
    """Write a checkout's default params for small tables, and models of its families whose layers are narrow."""
    folder.mkdir(exist_ok=True)
    params = read_yaml(checkout / "params.yaml")
    texts = load_tokenizer(params["generator"]["model"], "generator.model")
    words = sorted(word for word in texts.get_vocab() if word.isalpha() and word.isascii() and len(word) > 2)
    rng = np.random.default_rng(0)
    for name in ("source", "target"):
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label"])
            for row in range(120):
                writer.writerow([" ".join(rng.choice(words, 9)) + " .", ("negative", "positive")[row % 2]])
    for key, auto_class in (("teacher", AutoModel), ("generator", AutoModelForMaskedLM)):
        config = load_config(params[key]["model"], f"{key}.model")
        config.update(NARROW)
        model = auto_class.from_config(config, dtype=torch.float32)
        save_model(model, load_tokenizer(params[key]["model"], f"{key}.model"), folder / key)
    save_adapter(with_adapter(model, params["generator"]["rank"]), folder / "adapter.safetensors")
    params["data"]["source"] = {"path": "source.csv", "rows": 20, "sentences": 20}
    params["data"]["target"] = {"path": "target.csv", "per_class": 8, "validation": 20, "test": 20}
    params["teacher"]["model"] = "teacher"
    params["generator"] |= {"model": "generator", "adapter": "adapter.safetensors"}
    params["student"]["model"] = "generator"
    params["teacher"]["epochs"] = {"source": 1, "target": 1}
    params["augment"]["samples"] = {"source": 0, "target": 2, "unlabelled": 0}
    params["distill"] |= {"epochs": 1, "least_steps": 0}
    params["selector"]["every"] = 1
    params["evaluate"]["resamples"] = 100
    params["evaluate"]["student_ft"]["epochs"] = 1
    params["export"]["max_drop"] = 1.0
    (folder / "params.yaml").write_text(to_yaml(params), encoding="utf-8")


if __name__ == "__main__":
    with exit_on_input_error():
        typer.run(main)
