"""The large model, fine-tuned on the labelled texts."""

from pathlib import Path
from typing import Annotated

import typer

from stages.command import ParamsFile, stage


def main(
    params: ParamsFile = Path("params.yaml"),
    prepared: Annotated[Path, typer.Option(help="Folder of the prepared texts.")] = Path("data/prepared"),
    out: Annotated[Path, typer.Option(help="Folder for the fine-tuned teacher.")] = Path("models/teacher"),
    metrics: Annotated[Path, typer.Option(help="File for the validation scores of each epoch.")] = Path(
        "metrics/teacher.json"
    ),
) -> str:
    """Fine-tune the teacher f^t on source and target, or on those that teacher.domains names."""
    from pipeline.params.file import load

    checked = load(params)
    from pipeline.training.teacher import train_teacher

    return train_teacher(checked, prepared=prepared, out=out, metrics=metrics)


app = stage(main)

if __name__ == "__main__":
    app()
