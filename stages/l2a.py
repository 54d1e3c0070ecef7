"""The console command `l2a`: every stage, and the commands that inspect or use what they made."""

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from stages.command import Quiet, Verbose, log_level, usage_on_one_line

PANELS = {
    "Begin": ("init", "doctor"),
    "Stages, in the order of `dvc repro`": (
        "commits",
        "tables",
        "prepare",
        "generator",
        "teacher",
        "rounds",
        "augment",
        "cache_teacher",
        "distill",
        "refine",
        "student_ft",
        "evaluate",
        "export",
        "share",
        "report",
    ),
    "Look and use": ("inspect", "predict", "work_cache"),
}


class Commands(Mapping[str, Any]):
    """The commands by name; the module of one is imported when it is asked for, so that none waits for the others."""

    def __getitem__(self, name: str) -> Any:
        for panel, names in PANELS.items():
            if name in names:
                command: Any = get_command(import_module(f"stages.{name}").app)
                command.rich_help_panel = panel
                return command
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (name for names in PANELS.values() for name in names)

    def __len__(self) -> int:
        return sum(map(len, PANELS.values()))


class OneLineGroup(TyperGroup):
    """A group whose usage errors are one line too, with exit code 2."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands: Any = Commands()

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line up to the command's name."""
        # Without arguments the help is shown, by an exception.
        with usage_on_one_line("l2a") if args else nullcontext():
            return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command of that name."""
        with usage_on_one_line("l2a", f" Accepted: {', '.join(self.commands)}"):
            return super().resolve_command(ctx, args)


app = typer.Typer(cls=OneLineGroup, no_args_is_help=True, pretty_exceptions_enable=False)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("l2a"))
        raise typer.Exit


@app.callback()
def main(
    context: typer.Context,
    verbose: Verbose = False,
    quiet: Quiet = False,
    _: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Learning to augment for data-scarce distillation. `dvc repro` runs the stages whose inputs have changed."""
    context.obj = log_level("l2a", context, verbose, quiet)


if __name__ == "__main__":
    app()
