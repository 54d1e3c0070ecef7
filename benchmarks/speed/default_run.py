"""Outputs of the default run, written by `dvc repro`, which the benchmarks use."""

from pathlib import Path

from pipeline.compute import distributed
from pipeline.errors import InputError
from pipeline.params.file import load
from pipeline.params.schema import Params

ROOT = Path(__file__).parents[2]


def default_params() -> Params:
    """The project's params. Raises InputError if there is a GPU, because the peers are measured on the CPU."""
    if distributed.device().type != "cpu":
        raise InputError(f"benchmarks.speed: got {distributed.device()}; accepted: a CPU, by CUDA_VISIBLE_DEVICES=")
    return load(ROOT / "params.yaml")


def output(path: str) -> Path:
    """An output of a stage. Raises InputError if the stage has not run."""
    if not (ROOT / path).exists():
        raise InputError(f"{path}: no such file or folder; run dvc repro first")
    return ROOT / path
