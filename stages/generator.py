"""The masked language model that fills the words: published as it is, or given a head on unlabelled text."""

from pathlib import Path
from typing import Annotated

import typer

from stages.command import ParamsFile, stage


def main(
    params: ParamsFile = Path("params.yaml"),
    out: Annotated[Path, typer.Option(help="Folder of the masked language model.")] = Path("models/generator"),
    metrics: Annotated[Path, typer.Option(help="File for the measurements.")] = Path("metrics/generator.json"),
    adapter: Annotated[Path | None, typer.Option(help="File for the trained weights alone, too.")] = None,
) -> str:
    """Publish G_θ: a masked language model as it is, or an encoder with a trained head and low-rank weights."""
    from pipeline.params.file import load

    checked = load(params)
    from pipeline.augment.generator import prepare_generator

    return prepare_generator(checked, out=out, metrics=metrics, adapter=adapter)


app = stage(main)

if __name__ == "__main__":
    app()
