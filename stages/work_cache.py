"""What killed stages go on from, seen and cleared."""

import shutil
from contextlib import suppress
from typing import Annotated

import typer

from pipeline.storage import workcache
from stages.command import stage


def main(clear: Annotated[bool, typer.Option("--clear", help="Remove all of it; it is never needed.")] = False) -> str:
    """Tell what the work cache holds of each stage, and how much; outs that link to it keep what they have."""
    found = workcache.sizes()
    for name, (runs, size) in found.items():
        typer.echo(f"{name:15} {runs:5,} folders {size / 1e6:10,.1f} MB")
    for folder in workcache.root().iterdir() if clear and workcache.root().is_dir() else ():
        # A stage that is running finishes pieces meanwhile.
        while folder.exists():
            with suppress(FileNotFoundError):
                shutil.rmtree(folder)
    whole = f"{sum(size for _, size in found.values()) / 1e6:,.1f} MB in {workcache.root()}"
    return f"{'cleared, ' if clear else ''}{whole}"


app = stage(main)

if __name__ == "__main__":
    app()
