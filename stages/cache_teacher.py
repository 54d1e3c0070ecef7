"""The teacher's outputs for every text, computed once."""

from pathlib import Path
from typing import Annotated

import typer

from stages.command import OF_ROUND, ParamsFile, Round, skip_round, stage


def main(
    params: ParamsFile = Path("params.yaml"),
    prepared: Annotated[Path, typer.Option(help="Folder of the prepared texts.")] = Path("data/prepared"),
    augmented: Annotated[Path | None, typer.Option(help=f"Folder of the neighbours' shards{OF_ROUND}")] = None,
    teacher: Annotated[Path, typer.Option(help="Folder of the teacher.")] = Path("models/teacher"),
    out: Annotated[Path | None, typer.Option(help=f"Folder for the cache{OF_ROUND}")] = None,
    round_number: Round = 1,
) -> str:
    """Run the teacher on all neighbours and keep its logits, last hidden states and last-layer attention."""
    from pipeline.params.file import load
    from pipeline.storage.layout import Layout

    checked, layout = load(params), Layout(round_number)
    out = out or layout.teacher_cache
    if skipped := skip_round(round_number, checked.rounds, out=out):
        return skipped
    from pipeline.distill.cache_teacher import cache_teacher

    return cache_teacher(checked, prepared=prepared, augmented=augmented or layout.augmented, teacher=teacher, out=out)


app = stage(main)

if __name__ == "__main__":
    app()
