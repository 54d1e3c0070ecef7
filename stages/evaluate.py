"""Teacher, distilled student and fine-tuned student on texts that none of them has seen."""

from pathlib import Path
from typing import Annotated

import typer

from stages.command import ParamsFile, last_round, stage

Folder = Annotated[Path, typer.Option(help="A model to measure.")]


def main(
    params: ParamsFile = Path("params.yaml"),
    prepared: Annotated[Path, typer.Option(help="Folder of the prepared texts.")] = Path("data/prepared"),
    teacher: Folder = Path("models/teacher"),
    student: Annotated[Path | None, typer.Option(help="A model to measure; if not given, the last round's.")] = None,
    student_ft: Folder = Path("models/student_ft"),
    metrics: Annotated[Path, typer.Option(help="What was measured.")] = Path("metrics/evaluation.json"),
    plots: Annotated[Path, typer.Option(help="What each model predicted.")] = Path("plots/predictions.csv"),
) -> str:
    """Measure the models on the test set: metrics with intervals, size and speed."""
    from pipeline.params.file import load

    checked = load(params)
    from pipeline.evaluation.evaluate import evaluate

    folders = {"teacher": teacher, "student": student or last_round(checked.rounds), "student_ft": student_ft}
    return evaluate(checked, prepared=prepared, folders=folders, metrics=metrics, plots=plots)


app = stage(main)

if __name__ == "__main__":
    app()
