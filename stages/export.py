"""The student as ONNX, in float32 and with weights of 8 bits."""

from pathlib import Path
from typing import Annotated

import typer

from stages.command import ParamsFile, last_round, stage


def main(
    params: ParamsFile = Path("params.yaml"),
    prepared: Annotated[Path, typer.Option(help="Folder of the prepared texts.")] = Path("data/prepared"),
    teacher: Annotated[Path, typer.Option(help="Folder of the teacher, to be timed beside.")] = Path("models/teacher"),
    student: Annotated[Path | None, typer.Option(help="A student; if not given, the last round's.")] = None,
    onnx: Annotated[Path, typer.Option(help="Folder for float32.")] = Path("models/onnx"),
    int8: Annotated[Path, typer.Option(help="Folder for 8 bits.")] = Path("models/int8"),
    metrics: Annotated[Path, typer.Option(help="Size, speed and agreement.")] = Path("metrics/serving.json"),
) -> str:
    """Convert the student, check it against itself on the test set, and time it beside its teacher."""
    from pipeline.params.file import load

    checked = load(params)
    from pipeline.serving.export import export

    augmented = [
        Path("data/augmented"),
        *(Path(f"rounds/{number}/augmented") for number in range(2, checked.rounds + 1)),
    ]
    return export(
        checked,
        prepared=prepared,
        teacher=teacher,
        student=student or last_round(checked.rounds),
        augmented=augmented,
        outs={"onnx": onnx, "int8": int8},
        metrics=metrics,
    )


app = stage(main)

if __name__ == "__main__":
    app()
