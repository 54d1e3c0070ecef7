"""The student as ONNX, with float32 and with int8 weights."""

from pathlib import Path
from typing import Annotated

import typer

from stages.command import OF_LAST_ROUND, ParamsFile, stage


def main(
    params: ParamsFile = Path("params.yaml"),
    prepared: Annotated[Path, typer.Option(help="Folder of the prepared texts.")] = Path("data/prepared"),
    teacher: Annotated[Path, typer.Option(help="Folder of the teacher, timed beside the student.")] = Path(
        "models/teacher"
    ),
    student: Annotated[Path | None, typer.Option(help=f"Folder of a student{OF_LAST_ROUND}")] = None,
    onnx: Annotated[Path, typer.Option(help="Folder for the float32 model.")] = Path("models/onnx"),
    int8: Annotated[Path, typer.Option(help="Folder for the int8 model.")] = Path("models/int8"),
    metrics: Annotated[Path, typer.Option(help="File for size, speed and agreement.")] = Path("metrics/serving.json"),
) -> str:
    """Convert the student, check it against itself on the test set, and time it beside its teacher."""
    from pipeline.params.file import load
    from pipeline.storage.layout import Layout

    checked = load(params)
    from pipeline.serving.export import export

    return export(
        checked,
        prepared=prepared,
        teacher=teacher,
        student=student or Layout(checked.rounds).student,
        augmented=[Layout(round_number).augmented for round_number in range(1, checked.rounds + 1)],
        outs={"onnx": onnx, "int8": int8},
        metrics=metrics,
    )


app = stage(main)

if __name__ == "__main__":
    app()
