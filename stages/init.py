"""A params file for your own tables: what can be seen is proposed, what cannot is asked."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from stages.command import stage


def main(
    table: Annotated[
        str,
        typer.Argument(
            help="The few labelled texts: a CSV, TSV, JSONL or Parquet file or glob, a hub id, or package:module/file."
        ),
    ],
    source: Annotated[str | None, typer.Option(help="A table of a neighbouring domain with many.")] = None,
    model: Annotated[str | None, typer.Option(help="The teacher: a hub id, a folder or package:module/folder.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing: take the likeliest and say so.")] = False,
    written: Annotated[Path, typer.Option("--out", help="The params file; what is there is kept beside it.")] = Path(
        "params.yaml"
    ),
) -> str:
    """Look at your tables and write the params file that fits them."""
    from pipeline.setup.init import init

    choose = _likeliest if yes or not sys.stdin.isatty() else _asked
    return init(table, source, model=model, out=written, choose=choose, say=typer.echo)


def _asked(question: str, answers: Sequence[str]) -> int:
    """Ask at the terminal."""
    typer.echo(question)
    for number, answer in enumerate(answers, start=1):
        typer.echo(f"  {number}  {answer}")
    while True:
        try:
            given = typer.prompt("which", default="1")
        except typer.Abort:
            raise KeyboardInterrupt from None
        if given.isdecimal() and 1 <= int(given) <= len(answers):
            return int(given) - 1
        typer.echo(f"accepted: 1 to {len(answers)}")


def _likeliest(question: str, answers: Sequence[str]) -> int:
    """Take the first answer and say so."""
    typer.echo(f"{question} taken: {answers[0]}; else: {'; '.join(answers[1:])}")
    return 0


app = stage(main)

if __name__ == "__main__":
    app()
