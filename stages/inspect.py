"""Neighbours beside their originals, for a person who wants to see what was drawn."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from stages.command import stage

PLACE = "if not given, where the shards' project has it"


def main(
    augmented: Annotated[Path, typer.Argument(help="Folder of the shards.")] = Path("data/augmented"),
    domain: Annotated[Literal["source", "target"] | None, typer.Option(help="Only neighbours of its texts.")] = None,
    original: Annotated[str | None, typer.Option(help="Only those of the text with this id.")] = None,
    distance: Annotated[int | None, typer.Option(min=0, help="Only those with so many words changed.")] = None,
    kept: Annotated[
        bool | None, typer.Option("--kept/--dropped", help="Only those that the selector kept, or dropped, at the end.")
    ] = None,
    disagree: Annotated[
        bool, typer.Option("--disagree", help="Only those that teacher and student put into other classes.")
    ] = False,
    random: Annotated[bool, typer.Option("--random", help="Any of them, not the first.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Which, with --random.")] = 1,
    rows: Annotated[int, typer.Option(min=1, help="How many.")] = 10,
    as_: Annotated[Literal["text", "json"], typer.Option("--as", help="For people, or JSON lines.")] = "text",
    summary: Annotated[bool, typer.Option("--summary", help="Numbers over all of them instead.")] = False,
    prepared: Annotated[Path | None, typer.Option(help=f"The prepared texts; {PLACE}.")] = None,
    cache: Annotated[Path | None, typer.Option(help=f"The teacher's cache; {PLACE}.")] = None,
    selection: Annotated[Path | None, typer.Option(help=f"π of each neighbour; {PLACE}.")] = None,
    student: Annotated[Path | None, typer.Option(help=f"Folder of the student; {PLACE}.")] = None,
    generator: Annotated[Path | None, typer.Option(help=f"What drew them; {PLACE}.")] = None,
) -> str:
    """Show neighbours with what changed, how likely it was, and what selector, teacher and student make of them."""
    from pipeline.errors import InputError

    if summary and disagree:
        raise InputError("--disagree: got --summary too; accepted: one of the two")
    from pipeline.inspect.query import ArtifactPaths, Filter

    places = ArtifactPaths(
        augmented,
        prepared or _usual(augmented, "prepared") or Path("data/prepared"),
        cache=cache or _usual(augmented, "teacher"),
        selection=selection or _usual(augmented, "selection.parquet"),
        student=student or _usual(augmented, "student"),
        generator=generator or _usual(augmented, "generator"),
    )
    wanted = Filter(domain, original, distance, kept)
    from pipeline.inspect.terminal import print_json, print_neighbour, print_summary, terminal

    if summary:
        from pipeline.inspect.summary import summarise

        counted = summarise(places, wanted)
        if as_ == "json":
            print_json(counted)
        else:
            print_summary(terminal(), counted)
        return f"{sum(counted['neighbours'].values()):,} neighbours in {augmented}"
    from pipeline.inspect.inspect import inspect

    show = print_json if as_ == "json" else partial(print_neighbour, terminal())
    return inspect(places, wanted, show, rows=rows, seed=seed if random else None, disagree=disagree)


def _usual(augmented: Path, name: str) -> Path | None:
    """Where it lies in the project that the shards are of; None if it is not there."""
    kind = "models" if name in ("student", "generator") else "data"
    # A first round's shards are in data, a later one's in rounds/2, with what belongs to that round beside them.
    usual = [augmented.parent / name]
    if name in ("prepared", "student", "generator"):
        usual += [folder / kind / name for folder in augmented.parents[1:3]]
    return next((place for place in usual if place.exists()), None)


app = stage(main, rows=True, reads=("selection",))

if __name__ == "__main__":
    app()
