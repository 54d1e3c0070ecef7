"""Neighbours of every training text, drawn with the masked language model into Parquet shards."""

from pathlib import Path
from typing import Annotated

import typer

from stages.command import OF_ROUND, ParamsFile, Round, skip_round, stage


def main(
    params: ParamsFile = Path("params.yaml"),
    prepared: Annotated[Path, typer.Option(help="Folder of the prepared texts.")] = Path("data/prepared"),
    generator: Annotated[Path | None, typer.Option(help=f"Folder of the masked language model{OF_ROUND}")] = None,
    out: Annotated[Path | None, typer.Option(help=f"Folder for the shards{OF_ROUND}")] = None,
    round_number: Round = 1,
) -> str:
    """Draw z ~ P_s(z|x) (Eqs. 10–12): augment.samples neighbours of each training text of a domain."""
    from pipeline.params.file import load
    from pipeline.storage.layout import Layout

    checked, layout = load(params), Layout(round_number)
    out = out or layout.augmented
    if skipped := skip_round(round_number, checked.rounds, out=out):
        return skipped
    from pipeline.augment.augment import augment

    return augment(
        checked, prepared=prepared, generator=generator or layout.generator, out=out, round_number=round_number
    )


app = stage(main)

if __name__ == "__main__":
    app()
