"""Which rounds params ask for, one file each, so that one more round does not rerun those before it."""

from pathlib import Path
from typing import Annotated

import typer

from stages.command import ParamsFile, stage


def main(
    params: ParamsFile = Path("params.yaml"),
    out: Annotated[Path, typer.Option(help="Folder for a file of each round.")] = Path("rounds/asked"),
) -> str:
    """Write true or false for each round of dvc.yaml."""
    from pipeline.params.file import load

    checked = load(params)
    from pipeline.params.schema import LAST_ROUND
    from pipeline.storage.atomic import publish_folder

    with publish_folder(out) as folder:
        for round_number in range(1, LAST_ROUND + 1):
            (folder / f"{round_number}.json").write_text("true\n" if round_number <= checked.rounds else "false\n")
    return f"{checked.rounds} of {LAST_ROUND} rounds, in {out}"


app = stage(main)

if __name__ == "__main__":
    app()
