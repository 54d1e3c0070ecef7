"""What `dvc repro` has made of the embedded default, which the benchmarks work on."""

from pathlib import Path

from pipeline import models
from pipeline.errors import InputError
from pipeline.params import Params
from pipeline.params_file import load

ROOT = Path(__file__).parents[2]


def params() -> Params:
    """The project's params. Raises InputError where there is a GPU, for the peers are measured on the CPU."""
    if models.device().type != "cpu":
        raise InputError(f"benchmarks.speed: got {models.device()}; accepted: a CPU, by CUDA_VISIBLE_DEVICES=")
    return load(ROOT / "params.yaml")


def made(path: str) -> Path:
    """A stage's out. Raises InputError if the stage has not run."""
    if not (ROOT / path).exists():
        raise InputError(f"{path}: not there yet; run dvc repro first")
    return ROOT / path
