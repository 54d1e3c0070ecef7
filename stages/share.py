"""The student and the neighbours as folders to share, each with a card."""

from pathlib import Path
from typing import Annotated

import typer

from stages.command import OF_LAST_ROUND, ParamsFile, stage


def main(
    params: ParamsFile = Path("params.yaml"),
    student: Annotated[Path | None, typer.Option(help=f"A student{OF_LAST_ROUND}")] = None,
    onnx_model: Annotated[Path, typer.Option(help="Its folder as ONNX, float32.")] = Path("models/onnx"),
    int8_model: Annotated[Path, typer.Option(help="Its folder as ONNX, int8.")] = Path("models/int8"),
    augmented: Annotated[Path | None, typer.Option(help=f"Folder of neighbours' shards{OF_LAST_ROUND}")] = None,
    evaluation: Annotated[Path, typer.Option(help="File of the scores.")] = Path("metrics/evaluation.json"),
    model_out: Annotated[Path, typer.Option(help="Folder for the student.")] = Path("share/student"),
    onnx_out: Annotated[Path, typer.Option(help="Folder for the student, for JavaScript.")] = Path("share/onnx"),
    data_out: Annotated[Path, typer.Option(help="Folder for the neighbours.")] = Path("share/augmented"),
) -> str:
    """Write a model and a data set, each with its README, as the hub or a colleague takes them."""
    from pipeline.params.file import load
    from pipeline.storage.layout import Layout

    checked = load(params)
    layout = Layout(checked.rounds)
    from pipeline.sharing.share import share

    return share(
        checked,
        student=student or layout.student,
        onnx=onnx_model,
        int8=int8_model,
        augmented=augmented or layout.augmented,
        evaluation=evaluation,
        model_out=model_out,
        onnx_out=onnx_out,
        data_out=data_out,
    )


app = stage(main)

if __name__ == "__main__":
    app()
