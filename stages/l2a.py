"""The console command `l2a`: every stage, and the commands that inspect or use what they made."""

from contextlib import nullcontext
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from stages.command import Quiet, Verbose, log_level, usage_on_one_line

PANELS = {
    "Begin": ("init", "doctor"),
    "Stages, in the order of `dvc repro`": (
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


class OneLineGroup(TyperGroup):
    """A group whose usage errors are one line too, with exit code 2."""

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


for panel, names in PANELS.items():
    for name in names:
        # Stages import what is slow to import inside their functions, so importing all of them takes no time.
        for command in import_module(f"stages.{name}").app.registered_commands:
            command.rich_help_panel = panel
            app.registered_commands.append(command)

if __name__ == "__main__":
    app()
