"""The student, distilled on the neighbours that the selector keeps."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import InputError
from stages.command import OF_ROUND, ParamsFile, Round, skip_round, stage

OF_EARLIER = "; if not given, that of the previous round, if there is one."


def main(
    params: ParamsFile = Path("params.yaml"),
    prepared: Annotated[Path, typer.Option(help="Folder of the prepared texts.")] = Path("data/prepared"),
    augmented: Annotated[Path | None, typer.Option(help=f"Folder of the neighbours' shards{OF_ROUND}")] = None,
    cache: Annotated[Path | None, typer.Option(help=f"Folder of the teacher's cache{OF_ROUND}")] = None,
    teacher: Annotated[Path, typer.Option(help="Folder of the teacher.")] = Path("models/teacher"),
    out: Annotated[Path | None, typer.Option(help=f"Folder for the student{OF_ROUND}")] = None,
    selection: Annotated[Path | None, typer.Option(help=f"File for π of every neighbour{OF_ROUND}")] = None,
    projection_and_policy: Annotated[Path | None, typer.Option(help=f"File for W and the policy{OF_ROUND}")] = None,
    curves: Annotated[Path | None, typer.Option(help=f"Folder for dvclive's curves{OF_ROUND}")] = None,
    earlier_student: Annotated[Path | None, typer.Option(help=f"Student to continue from{OF_EARLIER}")] = None,
    earlier_projection_and_policy: Annotated[
        Path | None, typer.Option(help=f"W and the policy to continue from{OF_EARLIER}")
    ] = None,
    round_number: Round = 1,
) -> str:
    """Run Algorithm 1: train on the kept neighbours, reward the selector with the student's progress."""
    from pipeline.params.file import load
    from pipeline.storage.layout import Layout

    checked, layout = load(params), Layout(round_number)
    out, selection, curves = out or layout.student, selection or layout.selection, curves or layout.curves
    projection_and_policy = projection_and_policy or layout.projection_and_policy
    if skipped := skip_round(
        round_number,
        checked.rounds,
        out=out,
        selection=selection,
        projection_and_policy=projection_and_policy,
        curves=curves,
    ):
        return skipped
    if (earlier_student is None) != (earlier_projection_and_policy is None):
        raise InputError(
            "--earlier-student and --earlier-projection-and-policy: got one of them; accepted: both, or neither"
        )
    earlier = None
    if earlier_student and earlier_projection_and_policy:
        earlier = earlier_student, earlier_projection_and_policy
    elif round_number > 1:
        earlier = Layout(round_number - 1).student, Layout(round_number - 1).projection_and_policy
    from pipeline.distill.curves import publish_curves
    from pipeline.distill.distill import distill_student

    with publish_curves(curves) as log:
        return distill_student(
            checked,
            prepared=prepared,
            augmented=augmented or layout.augmented,
            cache=cache or layout.teacher_cache,
            teacher=teacher,
            out=out,
            selection=selection,
            projection_and_policy=projection_and_policy,
            log=log,
            earlier=earlier,
        )


app = stage(main)

if __name__ == "__main__":
    app()
