"""The student, distilled on the neighbours that the selector keeps."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import InputError
from stages.command import ParamsFile, Round, left_out, stage


def main(
    params: ParamsFile = Path("params.yaml"),
    prepared: Annotated[Path, typer.Option(help="Folder that prepare left.")] = Path("data/prepared"),
    augmented: Annotated[Path, typer.Option(help="Folder of the neighbours' shards.")] = Path("data/augmented"),
    cache: Annotated[Path, typer.Option(help="Folder of the teacher's cache.")] = Path("data/teacher"),
    teacher: Annotated[Path, typer.Option(help="Folder of the teacher.")] = Path("models/teacher"),
    out: Annotated[Path, typer.Option(help="Folder for the student.")] = Path("models/student"),
    selection: Annotated[Path, typer.Option(help="π of every neighbour.")] = Path("data/selection.parquet"),
    learner: Annotated[Path, typer.Option(help="W and the policy.")] = Path("models/learner.safetensors"),
    curves: Annotated[Path, typer.Option(help="Folder for dvclive's curves.")] = Path("dvclive"),
    earlier_student: Annotated[Path | None, typer.Option(help="Student of the round before, to go on from.")] = None,
    earlier_learner: Annotated[Path | None, typer.Option(help="W and the policy that go with it.")] = None,
    number: Round = 1,
) -> str:
    """Run Algorithm 1: imitate the teacher on kept neighbours, reward the selector with the student's progress."""
    from pipeline.params.file import load

    checked = load(params)
    if nothing := left_out(number, checked.rounds, out, selection, learner, curves):
        return nothing
    if (earlier_student is None) != (earlier_learner is None):
        raise InputError("--earlier-student and --earlier-learner: got one of them; accepted: both, or neither")
    from pipeline.distill.curves import publish_curves
    from pipeline.distill.distill import distill_student

    with publish_curves(curves) as log:
        return distill_student(
            checked,
            prepared=prepared,
            augmented=augmented,
            cache=cache,
            teacher=teacher,
            out=out,
            selection=selection,
            learner=learner,
            log=log,
            earlier=(earlier_student, earlier_learner) if earlier_student and earlier_learner else None,
        )


app = stage(main)

if __name__ == "__main__":
    app()
