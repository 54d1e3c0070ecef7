"""The inspect command: neighbours beside their originals."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from stages.command import stage

DEFAULT = "by default that of the shards' project"


def main(
    augmented: Annotated[Path, typer.Argument(help="Folder of the shards.")] = Path("data/augmented"),
    domain: Annotated[Literal["source", "target", "unlabelled"] | None, typer.Option(help="Only this domain.")] = None,
    original: Annotated[str | None, typer.Option(help="Only neighbours of the text with this id.")] = None,
    distance: Annotated[int | None, typer.Option(min=0, help="Only this number of changed words.")] = None,
    kept: Annotated[
        bool | None,
        typer.Option("--kept/--dropped", help="Only those kept, or dropped, in the last epoch."),
    ] = None,
    disagree: Annotated[
        bool,
        typer.Option("--disagree", help="Only those with different predictions by teacher and student."),
    ] = False,
    random: Annotated[bool, typer.Option("--random", help="A random sample, not the first.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of --random.")] = 1,
    rows: Annotated[int, typer.Option(min=1, help="How many at most.")] = 10,
    as_: Annotated[Literal["text", "json"], typer.Option("--as", help="Text for people, or JSON lines.")] = "text",
    summary: Annotated[bool, typer.Option("--summary", help="Statistics over all of them instead.")] = False,
    prepared: Annotated[Path | None, typer.Option(help=f"Folder of the prepared texts; {DEFAULT}.")] = None,
    cache: Annotated[Path | None, typer.Option(help=f"The teacher's cache; {DEFAULT}.")] = None,
    selection: Annotated[Path | None, typer.Option(help=f"File with π of each neighbour; {DEFAULT}.")] = None,
    student: Annotated[Path | None, typer.Option(help=f"Folder of the student; {DEFAULT}.")] = None,
    generator: Annotated[Path | None, typer.Option(help=f"Folder of the generator that drew them; {DEFAULT}.")] = None,
) -> str:
    """Show neighbours with their changed words, log-probability, π, and the predictions of teacher and student."""
    from pipeline.errors import InputError

    if summary and (disagree or random):
        raise InputError(f"--{'disagree' if disagree else 'random'}: got --summary too; accepted: one of the two")
    from pipeline.inspect.query import ArtifactPaths, Filter

    paths = ArtifactPaths(
        augmented,
        prepared or _default(augmented, "prepared") or Path("data/prepared"),
        cache=cache or _default(augmented, "teacher"),
        selection=selection or _default(augmented, "selection.parquet"),
        student=student or _default(augmented, "student"),
        generator=generator or _default(augmented, "generator"),
    )
    filter_ = Filter(domain, original, distance, kept)
    from pipeline.inspect.terminal import print_neighbour, print_summary, terminal
    from pipeline.storage.json_lines import print_json

    if summary:
        from pipeline.inspect.summary import summarise

        counted = summarise(paths, filter_)
        if as_ == "json":
            print_json(counted)
        else:
            print_summary(terminal(), counted)
        return f"{sum(counted['neighbours'].values()):,} neighbours in {augmented}"
    from pipeline.inspect.inspect import inspect

    show = print_json if as_ == "json" else partial(print_neighbour, terminal())
    return inspect(paths, filter_, show, rows=rows, seed=seed if random else None, disagree=disagree)


def _default(augmented: Path, name: str) -> Path | None:
    """The artifact of this name in the project that the shards are in; None if it does not exist."""
    kind = "models" if name in ("student", "generator") else "data"
    # The first round's shards are in data, a later one's in rounds/2, each beside the other artifacts of the round.
    candidates = [augmented.parent / name]
    if name in ("prepared", "student", "generator"):
        candidates += [folder / kind / name for folder in augmented.parents[1:3]]
    return next((path for path in candidates if path.exists()), None)


app = stage(main, rows=True, reads=("selection",))

if __name__ == "__main__":
    app()
