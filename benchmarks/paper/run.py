"""The bench's commands, one for each stage of its dvc.yaml."""

import os
from pathlib import Path
from typing import Annotated

import typer
import yaml

from benchmarks.one_line import one_line
from benchmarks.paper.plan import HERE, planned, read_asked, read_row, read_task
from pipeline.storage.atomic import publish_folder

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)
Task = Annotated[str, typer.Argument(help="A file in tasks/.")]
Row = Annotated[str, typer.Argument(help="A file in rows/.")]
Seed = Annotated[int, typer.Argument(help="Of every draw.")]


@app.command()
def plan() -> None:
    """Write the params file of every task and row that params.yaml asks for."""
    with one_line(), publish_folder(HERE / "plan") as folder:
        for block in read_asked().blocks():
            for task in block.tasks:
                (folder / task).mkdir(exist_ok=True)
                for row in dict.fromkeys(["l2a", *block.rows]):
                    text = yaml.safe_dump(planned(task, row), sort_keys=False, allow_unicode=True)
                    (folder / task / f"{row}.yaml").write_text(text, encoding="utf-8")


@app.command()
def prepare(task: Task, seed: Seed) -> None:
    """Texts of a task."""
    from benchmarks.paper import cells

    with one_line():
        read_task(task)
    cells.prepare(task, seed)


@app.command()
def generator(task: Task) -> None:
    """The masked language model of a task."""
    from benchmarks.paper import cells

    with one_line():
        read_task(task)
    cells.generator(task)


@app.command()
def teacher(task: Task, seed: Seed) -> None:
    """The teacher of a task."""
    from benchmarks.paper import cells

    with one_line():
        read_task(task)
    cells.teacher(task, seed)


@app.command()
def row(task: Task, name: Row, seed: Seed) -> None:
    """A row's model, made and measured."""
    from benchmarks.paper import cells

    with one_line():
        read_task(task), read_row(name)
    cells.row(task, name, seed)


@app.command()
def results() -> None:
    """Collect what was measured into results.csv."""
    from benchmarks.paper.results import collect

    typer.echo(f"results: {collect(HERE)}")


@app.command()
def report() -> None:
    """Tables and figures of results.csv."""
    from benchmarks.paper.report import write_report

    with one_line():
        typer.echo(f"report: {write_report(HERE)}")


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.chdir(Path(__file__).parents[2])
    app()
