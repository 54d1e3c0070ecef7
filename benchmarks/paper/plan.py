"""The params file of a task and a row: a preset, the paper's method, then what the task and the row name."""

from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.errors import InputError
from pipeline.params.file import check
from pipeline.params.overlay import merge, read_params
from pipeline.params.yaml12 import read_yaml

HERE = Path("benchmarks/paper")
"""Stages run in the project's root, to which the paths in params files are relative."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid")


Kind = TypeVar("Kind", bound=_Section)


class Task(_Section):
    """A file in tasks/."""

    what: str = ""
    """Its description in the tables."""
    preset: Path
    """params.yaml, or a preset."""
    params: dict[str, Any] = {}
    """Parameters with another value than in the preset."""


class Row(_Section):
    """A file in rows/."""

    what: str = ""
    """Its description in the tables."""
    measure: Literal["student", "teacher", "student_ft"] = "student"
    """The model that the row measures."""
    after: str | None = None
    """The row whose student, selector and neighbours this one starts from."""
    params: dict[str, Any] = {}
    """Parameters with another value than in the task."""


class Block(_Section):
    """Tasks × rows × seeds to measure."""

    tasks: list[str]
    rows: list[str]
    seeds: list[int]


class Main(Block):
    """The block of all rows."""

    after: list[str] = []
    """Rows that start from others."""


class Studies(Block):
    """Settings varied one at a time on one task, and more tasks."""

    tasks_of_rows: list[str]
    """Tasks of another block on which the rows are measured."""
    rows_of_tasks: list[str]


class Asked(_Section):
    """The benchmark's params.yaml."""

    method: dict[str, Any] = {}
    """Parameters of every task and row, unless these say otherwise."""
    main: Main
    tasks: Block
    pairs: Block
    """Tasks and seeds of `tasks` with rows that differ on pairs alone."""
    studies: Studies

    def blocks(self) -> list[Block]:
        """The cells to measure, in the order of the file."""
        main, studies = self.main, self.studies
        return [
            Block(tasks=main.tasks, rows=main.rows + main.after, seeds=main.seeds),
            self.tasks,
            self.pairs,
            Block(tasks=studies.tasks_of_rows, rows=studies.rows, seeds=studies.seeds),
            Block(tasks=studies.tasks, rows=studies.rows_of_tasks, seeds=studies.seeds),
        ]


def read_asked(here: Path = HERE) -> Asked:
    """Read the benchmark's params.yaml. Raises InputError naming it."""
    return _read(Asked, here, "params")


def read_row(name: str) -> Row:
    """Read a row's file. Raises InputError naming it."""
    return _read(Row, HERE / "rows", name)


def read_task(name: str) -> Task:
    """Read a task's file. Raises InputError naming it."""
    return _read(Task, HERE / "tasks", name)


def planned(task: str, row: str) -> dict[str, Any]:
    """Merge a task's preset, the params of every task, the task's and the row's.

    Raises InputError naming the file, or the row and the task that do not fit each other.
    """
    values = read_task(task)
    params = merge(read_params(values.preset), read_asked().method)
    params = merge(merge(params, values.params), read_row(row).params)
    where = f"{HERE}/rows/{row}.yaml on {HERE}/tasks/{task}.yaml"
    check(params, where)
    if params["score"] == "f1":
        # The file of predictions does not say which class is the positive one.
        raise InputError(f"{where}: score: got f1, which has no paired test here; accepted: auto, accuracy, mcc")
    return params


def _read(kind: type[Kind], folder: Path, name: str) -> Kind:
    path = folder / f"{name}.yaml"
    if not path.is_file():
        accepted = ", ".join(sorted(file.stem for file in folder.glob("*.yaml")))
        raise InputError(f"{path}: no such file; accepted: {accepted}")
    try:
        return kind.model_validate(read_yaml(path))
    except ValidationError as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from error
