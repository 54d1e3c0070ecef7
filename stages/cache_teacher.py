"""What the teacher says and thinks of every text, computed once."""

from pathlib import Path
from typing import Annotated

import typer

from stages.command import ParamsFile, Round, left_out, stage


def main(
    params: ParamsFile = Path("params.yaml"),
    prepared: Annotated[Path, typer.Option(help="Folder that prepare left.")] = Path("data/prepared"),
    augmented: Annotated[Path, typer.Option(help="Folder of the neighbours' shards.")] = Path("data/augmented"),
    teacher: Annotated[Path, typer.Option(help="Folder of the teacher.")] = Path("models/teacher"),
    out: Annotated[Path, typer.Option(help="Folder for the cache.")] = Path("data/teacher"),
    number: Round = 1,
) -> str:
    """Run the teacher over all neighbours and keep logits, last hidden states and last-layer attention."""
    from pipeline.params.file import load

    checked = load(params)
    if nothing := left_out(number, checked.rounds, out):
        return nothing
    from pipeline.distill.cache_teacher import cache_teacher

    return cache_teacher(checked, prepared=prepared, augmented=augmented, teacher=teacher, out=out)


app = stage(main)

if __name__ == "__main__":
    app()
