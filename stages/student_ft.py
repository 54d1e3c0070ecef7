"""The baseline that distillation has to beat: the student's architecture, fine-tuned on the scarce labels alone."""

from pathlib import Path
from typing import Annotated

import typer

from stages.command import ParamsFile, stage


def main(
    params: ParamsFile = Path("params.yaml"),
    prepared: Annotated[Path, typer.Option(help="Folder of the prepared texts.")] = Path("data/prepared"),
    out: Annotated[Path, typer.Option(help="Folder for the fine-tuned student.")] = Path("models/student_ft"),
) -> str:
    """Fine-tune the student's architecture on the target's labelled texts, without a teacher."""
    from pipeline.params.file import load

    checked = load(params)
    from pipeline.training.student_ft import train_student_ft

    return train_student_ft(checked, prepared=prepared, out=out)


app = stage(main)

if __name__ == "__main__":
    app()
