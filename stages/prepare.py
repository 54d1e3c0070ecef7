"""The texts of the domains: loaded, checked for leaks, split."""

from pathlib import Path
from typing import Annotated

import typer

from stages.command import ParamsFile, stage


def main(
    params: ParamsFile = Path("params.yaml"),
    out: Annotated[Path, typer.Option(help="Folder of the prepared texts.")] = Path("data/prepared"),
    metrics: Annotated[Path, typer.Option(help="JSON with the rows read, dropped and drawn.")] = Path(
        "metrics/data.json"
    ),
) -> str:
    """Write source, train, validation, test and unlabelled texts; drop empty, leaked and duplicate rows."""
    from pipeline.params.file import check_whole, load

    checked = load(params)
    check_whole(params)
    from pipeline.data.prepare import prepare

    return prepare(checked, out=out, metrics=metrics)


app = stage(main)

if __name__ == "__main__":
    app()
