"""The benchmark's commands, one for each stage of its dvc.yaml."""

import os
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.errors import exit_on_input_error
from benchmarks.paper.plan import HERE, planned, read_asked, read_row, read_task
from pipeline.params.yaml12 import to_yaml
from pipeline.storage.atomic import publish_folder

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)
Task = Annotated[str, typer.Argument(help="A file in tasks/.")]
Row = Annotated[str, typer.Argument(help="A file in rows/.")]
Seed = Annotated[int, typer.Argument(help="Random seed.")]


@app.command()
def plan() -> None:
    """Write the params file of every task and row in params.yaml."""
    with exit_on_input_error(), publish_folder(HERE / "plan") as folder:
        for block in read_asked().blocks():
            for task in block.tasks:
                (folder / task).mkdir(exist_ok=True)
                for row in dict.fromkeys(["l2a", *block.rows]):
                    (folder / task / f"{row}.yaml").write_text(to_yaml(planned(task, row)), encoding="utf-8")


@app.command()
def prepare(task: Task, seed: Seed) -> None:
    """Prepare the texts of a task."""
    from benchmarks.paper import cells

    with exit_on_input_error():
        read_task(task)
    cells.prepare(task, seed)


@app.command()
def generator(task: Task) -> None:
    """Prepare the masked language model of a task."""
    from benchmarks.paper import cells

    with exit_on_input_error():
        read_task(task)
    cells.generator(task)


@app.command()
def teacher(task: Task, seed: Seed) -> None:
    """Train the teacher of a task."""
    from benchmarks.paper import cells

    with exit_on_input_error():
        read_task(task)
    cells.teacher(task, seed)


@app.command()
def row(task: Task, name: Row, seed: Seed) -> None:
    """Train and measure the model of a row."""
    from benchmarks.paper import cells

    with exit_on_input_error():
        read_task(task), read_row(name)
    cells.row(task, name, seed)


@app.command()
def results() -> None:
    """Collect all measurements into results.csv."""
    from benchmarks.paper.results import collect

    with exit_on_input_error():
        typer.echo(f"results: {collect(HERE)}")


@app.command()
def report() -> None:
    """Write tables and figures of results.csv."""
    from benchmarks.paper.report import write_report

    with exit_on_input_error():
        typer.echo(f"report: {write_report(HERE)}")


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.chdir(Path(__file__).parents[2])
    app()
