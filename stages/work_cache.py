"""The work cache, from which killed stages resume: its size, and a way to clear it."""

import shutil
from contextlib import suppress
from typing import Annotated

import typer

from pipeline.storage import workcache
from stages.command import stage


def main(clear: Annotated[bool, typer.Option("--clear", help="Remove all of it; it only saves time.")] = False) -> str:
    """Print what the work cache holds of each stage; outs that link to it keep their content when it is cleared."""
    sizes = workcache.sizes()
    for name, (folders, size) in sizes.items():
        typer.echo(f"{name:15} {folders:5,} folders {size / 1e6:10,.1f} MB")
    for folder in workcache.root().iterdir() if clear and workcache.root().is_dir() else ():
        # A running stage may add pieces meanwhile.
        while folder.exists():
            with suppress(FileNotFoundError):
                shutil.rmtree(folder)
    total = f"{sum(size for _, size in sizes.values()) / 1e6:,.1f} MB in {workcache.root()}"
    return f"{'cleared, ' if clear else ''}{total}"


app = stage(main)

if __name__ == "__main__":
    app()
