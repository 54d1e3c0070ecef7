"""Neighbours of every training text, drawn with the masked language model into Parquet shards."""

from pathlib import Path
from typing import Annotated

import typer

from stages.command import ParamsFile, Round, left_out, stage


def main(
    params: ParamsFile = Path("params.yaml"),
    prepared: Annotated[Path, typer.Option(help="Folder that prepare left.")] = Path("data/prepared"),
    generator: Annotated[Path, typer.Option(help="Folder of the masked language model.")] = Path("models/generator"),
    out: Annotated[Path, typer.Option(help="Folder for the shards.")] = Path("data/augmented"),
    number: Round = 1,
) -> str:
    """Draw z ~ P_s(z|x) (Eqs. 10–12): augment.samples neighbours of each source and target training text."""
    from pipeline.params.file import load

    checked = load(params)
    if nothing := left_out(number, checked.rounds, out):
        return nothing
    from pipeline.augment.augment import augment

    return augment(checked, prepared=prepared, generator=generator, out=out, number=number)


app = stage(main)

if __name__ == "__main__":
    app()
