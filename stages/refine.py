"""The generator, refined on its neighbours of the previous round, each weighted by its reward."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import InputError
from stages.command import OF_ROUND, ParamsFile, Round, skip_round, stage

OF_EARLIER = "; if not given, that of the previous round."


def main(
    params: ParamsFile = Path("params.yaml"),
    augmented: Annotated[Path | None, typer.Option(help=f"Folder of the neighbours' shards{OF_EARLIER}")] = None,
    selection: Annotated[Path | None, typer.Option(help=f"π of each of them{OF_EARLIER}")] = None,
    generator: Annotated[Path | None, typer.Option(help=f"The model that drew them{OF_EARLIER}")] = None,
    out: Annotated[Path | None, typer.Option(help=f"Folder for the refined generator{OF_ROUND}")] = None,
    metrics: Annotated[
        Path | None, typer.Option(help=f"File for the words' likelihood before and after{OF_ROUND}")
    ] = None,
    round_number: Round = 2,
) -> str:
    """Train G_θ on the neighbours of the previous round, each weighted by its reward (Eqs. 5–9)."""
    from pipeline.params.file import load
    from pipeline.storage.layout import Layout

    if round_number < 2:
        raise InputError(f"--round: got {round_number}; accepted: 2 or more, the first round has no previous one")
    checked, previous, layout = load(params), Layout(round_number - 1), Layout(round_number)
    out, metrics = out or layout.generator, metrics or layout.generator_metrics
    if skipped := skip_round(round_number, checked.rounds, out=out, metrics=metrics):
        return skipped
    from pipeline.augment.refine import refine_generator

    return refine_generator(
        checked,
        augmented=augmented or previous.augmented,
        selection=selection or previous.selection,
        generator=generator or previous.generator,
        out=out,
        metrics=metrics,
    )


app = stage(main, reads=("selection",))

if __name__ == "__main__":
    app()
