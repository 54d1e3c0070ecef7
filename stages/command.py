"""How every stage runs: its params checked first, one line at its end, one line if something is wrong."""

import os
import sys
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import InputError

ParamsFile = Annotated[Path, typer.Option("--params", help="The params file, or the name of a preset.")]


def stage(work: Callable[..., str]) -> typer.Typer:
    """Make a Typer app of a stage's function, which returns what it made in a few words.

    InputError and a full disk become one line on standard error and exit code 1; the line at the end tells the time.
    """
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    name = work.__module__.rsplit(".", 1)[-1] if work.__module__ != "__main__" else Path(sys.argv[0]).stem

    @app.command(name)
    @wraps(work)
    def run(*args: object, **options: object) -> None:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        start = time.monotonic()
        try:
            made = work(*args, **options)
        except InputError as error:
            fail(f"{name}: {error}")
        except OSError as error:
            fail(f"{name}: {error.filename or 'disk'}: {error.strerror or error}")
        typer.echo(f"{name}: {made}, {time.monotonic() - start:.1f} s")

    return app


def fail(message: str) -> None:
    """Print one line on standard error and stop with exit code 1."""
    typer.echo(" ".join(message.split()), err=True)
    raise typer.Exit(1)
