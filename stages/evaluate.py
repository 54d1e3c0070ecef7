"""Scores of teacher, distilled student and fine-tuned student on texts that none of them has seen."""

from pathlib import Path
from typing import Annotated

import typer

from stages.command import OF_LAST_ROUND, ParamsFile, stage

Folder = Annotated[Path, typer.Option(help="A model to measure.")]


def main(
    params: ParamsFile = Path("params.yaml"),
    prepared: Annotated[Path, typer.Option(help="Folder of the prepared texts.")] = Path("data/prepared"),
    teacher: Folder = Path("models/teacher"),
    student: Annotated[Path | None, typer.Option(help=f"A model to measure{OF_LAST_ROUND}")] = None,
    student_ft: Folder = Path("models/student_ft"),
    metrics: Annotated[Path, typer.Option(help="File for the scores.")] = Path("metrics/evaluation.json"),
    plots: Annotated[Path, typer.Option(help="File for each model's predictions.")] = Path("plots/predictions.csv"),
) -> str:
    """Measure the models on the test set: metrics with intervals, size and speed."""
    from pipeline.params.file import load
    from pipeline.storage.layout import Layout

    checked = load(params)
    from pipeline.evaluation.evaluate import evaluate

    folders = {"teacher": teacher, "student": student or Layout(checked.rounds).student, "student_ft": student_ft}
    return evaluate(checked, prepared=prepared, folders=folders, metrics=metrics, plots=plots)


app = stage(main)

if __name__ == "__main__":
    app()
