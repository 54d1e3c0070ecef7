"""A finished run, and the report on it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.finished_run import write_run

from pipeline.params.file import load
from pipeline.report.report import Inputs, report


@pytest.fixture
def write_page() -> Callable[[Path], str]:
    """Write the report on a run that `write_run` wrote, and return its HTML."""

    def write(folder: Path) -> str:
        inputs = Inputs(
            prepared=folder / "data/prepared",
            data=folder / "metrics/data.json",
            evaluation=folder / "metrics/evaluation.json",
            predictions=folder / "plots/predictions.csv",
            curves=folder / "dvclive",
            augmented=folder / "data/augmented",
            selection=folder / "data/selection.parquet",
            serving=folder / "metrics/serving.json",
        )
        report(load(folder / "params.yaml"), inputs, folder / "report.html", folder / "plots/neighbours.csv")
        return (folder / "report.html").read_text(encoding="utf-8")

    return write


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run of classification."""
    return write_run(tmp_path / "run")
