"""The generator, learning from what it drew and how that did."""

from pathlib import Path
from typing import Annotated

import typer

from stages.command import ParamsFile, Round, left_out, stage


def main(
    params: ParamsFile = Path("params.yaml"),
    augmented: Annotated[Path, typer.Option(help="Neighbours of the round before.")] = Path("data/augmented"),
    selection: Annotated[Path, typer.Option(help="π of each of them.")] = Path("data/selection.parquet"),
    generator: Annotated[Path, typer.Option(help="What drew them.")] = Path("models/generator"),
    out: Annotated[Path, typer.Option(help="Folder for the generator that has learnt.")] = Path("rounds/2/generator"),
    metrics: Annotated[Path, typer.Option(help="What it thinks of them, before and after.")] = Path(
        "rounds/2/refine.json"
    ),
    number: Round = 2,
) -> str:
    """Train G_θ on the neighbours of the round before, each weighted by its reward (Eqs. 5–9)."""
    from pipeline.params.file import load

    checked = load(params)
    if nothing := left_out(number, checked.rounds, out, metrics):
        return nothing
    from pipeline.augment.refined import refine_generator

    return refine_generator(
        checked, augmented=augmented, selection=selection, generator=generator, out=out, metrics=metrics
    )


app = stage(main, reads=("selection",))

if __name__ == "__main__":
    app()
