"""Which commits of the Hugging Face hub params name, so that all stages read the same ones."""

from pathlib import Path
from typing import Annotated

import typer

from stages.command import ParamsFile, stage


def main(
    params: ParamsFile = Path("params.yaml"),
    record: Annotated[Path, typer.Option(help="File with the commit of each address.")] = Path("hub.json"),
) -> str:
    """Write the commit of each model and table of the hub; what has one already keeps it."""
    from pipeline.params.file import load

    checked = load(params)
    from pipeline.addresses.record import record_commits

    return record_commits(checked, record)


app = stage(main)

if __name__ == "__main__":
    app()
