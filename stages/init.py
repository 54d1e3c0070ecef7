"""A params file for your own tables, proposed from what is in them, or a preset's."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import InputError
from stages.command import stage


def main(
    table: Annotated[
        str | None,
        typer.Argument(
            help="The few labelled texts: a CSV, TSV, JSON, JSONL or Parquet file or glob, "
            "a hub id, or package:module/file."
        ),
    ] = None,
    source: Annotated[str | None, typer.Option(help="A table of a source domain, with many texts.")] = None,
    unlabelled: Annotated[
        str | None,
        typer.Option(help="A table of the target domain's texts without labels; by default rows of TABLE without one."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="The teacher: a hub id, a folder or package:module/folder.")] = None,
    preset: Annotated[
        Path | None, typer.Option(help="In place of a table: a file in presets, which is laid over params.yaml.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing: take the likeliest answer and print it.")] = False,
    file: Annotated[
        Path, typer.Option("--out", help="The params file; an old one is kept beside it as a .bak file.")
    ] = Path("params.yaml"),
) -> str:
    """Write the params file that fits your tables, or that of a preset."""
    choose = _first if yes or not sys.stdin.isatty() else _ask
    if preset is not None:
        for option, value in (("TABLE", table), ("--source", source), ("--unlabelled", unlabelled), ("--model", model)):
            if value is not None:
                raise InputError(f"{option}: got {value}; accepted: nothing beside --preset")
        from pipeline.setup.preset import init_preset

        return init_preset(preset, out=file, choose=choose, say=typer.echo)
    if table is None:
        raise InputError("TABLE: missing; accepted: a table of labelled texts, or --preset NAME")
    from pipeline.setup.init import init

    return init(table, source, unlabelled=unlabelled, model=model, out=file, choose=choose, say=typer.echo)


def _ask(question: str, answers: Sequence[str]) -> int:
    """Ask at the terminal."""
    typer.echo(question)
    for number, answer in enumerate(answers, start=1):
        typer.echo(f"  {number}  {answer}")
    while True:
        try:
            reply = typer.prompt("which", default="1")
        except typer.Abort as error:
            raise KeyboardInterrupt from error
        if reply.isdecimal() and 1 <= int(reply) <= len(answers):
            return int(reply) - 1
        typer.echo(f"accepted: 1 to {len(answers)}")


def _first(question: str, answers: Sequence[str]) -> int:
    """Take the first answer, the likeliest, and print it."""
    typer.echo(f"{question} taken: {answers[0]}; else: {'; '.join(answers[1:])}")
    return 0


app = stage(main)

if __name__ == "__main__":
    app()
