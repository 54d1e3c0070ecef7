"""What `dvc repro` has made of the embedded default, which the benchmarks work on."""

from pathlib import Path

from pipeline.compute import distributed
from pipeline.errors import InputError
from pipeline.params.file import load
from pipeline.params.schema import Params

ROOT = Path(__file__).parents[2]


def params() -> Params:
    """The project's params. Raises InputError where there is a GPU, for the peers are measured on the CPU."""
    if distributed.device().type != "cpu":
        raise InputError(f"benchmarks.speed: got {distributed.device()}; accepted: a CPU, by CUDA_VISIBLE_DEVICES=")
    return load(ROOT / "params.yaml")


def made(path: str) -> Path:
    """A stage's out. Raises InputError if the stage has not run."""
    if not (ROOT / path).exists():
        raise InputError(f"{path}: not there yet; run dvc repro first")
    return ROOT / path
