"""The student and the neighbours as folders to give away, with cards."""

from pathlib import Path
from typing import Annotated

import typer

from stages.command import ParamsFile, last_round, stage


def main(
    params: ParamsFile = Path("params.yaml"),
    student: Annotated[Path | None, typer.Option(help="A student; if not given, the last round's.")] = None,
    augmented: Annotated[Path | None, typer.Option(help="Neighbours; if not given, the last round's.")] = None,
    evaluation: Annotated[Path, typer.Option(help="What evaluate measured.")] = Path("metrics/evaluation.json"),
    model_out: Annotated[Path, typer.Option(help="Folder for the student.")] = Path("share/student"),
    data_out: Annotated[Path, typer.Option(help="Folder for the neighbours.")] = Path("share/augmented"),
) -> str:
    """Lay out what the hub, or a colleague, takes as it is: a model and a data set, each with its README."""
    from pipeline.params.file import load

    checked = load(params)
    from pipeline.sharing.share import share

    drawn = Path("data/augmented") if checked.rounds == 1 else Path(f"rounds/{checked.rounds}/augmented")
    return share(
        checked,
        student=student or last_round(checked.rounds),
        augmented=augmented or drawn,
        evaluation=evaluation,
        model_out=model_out,
        data_out=data_out,
    )


app = stage(main)

if __name__ == "__main__":
    app()
