"""From a task and a row to a whole params file: the task's preset with what task and row say otherwise."""

from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.errors import InputError
from pipeline.params.schema import Params

HERE = Path("benchmarks/paper")
"""Stages run in the project's root, to which the paths in params files are relative."""


class _Given(BaseModel):
    model_config = ConfigDict(extra="forbid")


Given = TypeVar("Given", bound=_Given)


class Task(_Given):
    """A file in tasks/."""

    what: str = ""
    """What it is, for the tables."""
    preset: Path
    """A params file of the project."""
    params: dict[str, Any] = {}
    """What the task says otherwise."""


class Row(_Given):
    """A file in rows/."""

    what: str = ""
    """What it is, for the tables."""
    measure: Literal["student", "teacher", "student_ft"] = "student"
    """Which model the row is about."""
    after: str | None = None
    """The row whose student, selector and neighbours this one goes on from."""
    params: dict[str, Any] = {}
    """What the row says otherwise."""


class Block(_Given):
    """Tasks × rows × seeds that are measured."""

    tasks: list[str]
    rows: list[str]
    seeds: list[int]


class Main(Block):
    """The default task's block."""

    after: list[str] = []
    """Rows that go on from others."""


class Studies(Block):
    """Settings on the default task, one at a time, and other tasks beside it."""

    rows_of_tasks: list[str]


class Asked(_Given):
    """The bench's params.yaml."""

    main: Main
    tasks: Block
    studies: Studies

    def blocks(self) -> list[Block]:
        """Which cells are asked for, in the order of the file."""
        main, studies = self.main, self.studies
        return [
            Block(tasks=main.tasks, rows=main.rows + main.after, seeds=main.seeds),
            self.tasks,
            Block(tasks=main.tasks, rows=studies.rows, seeds=studies.seeds),
            Block(tasks=studies.tasks, rows=studies.rows_of_tasks, seeds=studies.seeds),
        ]


def read_asked(here: Path = HERE) -> Asked:
    """Read the bench's params.yaml. Raises InputError naming it."""
    return _read(Asked, here, "params")


def read_row(name: str) -> Row:
    """Read a row's file. Raises InputError naming it."""
    return _read(Row, HERE / "rows", name)


def read_task(name: str) -> Task:
    """Read a task's file. Raises InputError naming it."""
    return _read(Task, HERE / "tasks", name)


def planned(task: str, row: str) -> dict[str, Any]:
    """Merge a task's preset, what the task says otherwise and what the row says otherwise.

    Raises InputError naming the file, or what is wrong with the whole.
    """
    given = read_task(task)
    whole = yaml.safe_load(given.preset.read_text(encoding="utf-8"))
    whole = merged(merged(whole, given.params), read_row(row).params)
    try:
        Params.model_validate(whole)
    except ValidationError as errors:
        first = errors.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{HERE}/rows/{row}.yaml on {HERE}/tasks/{task}.yaml: {place}: {first['msg']}") from None
    return whole


def merged(given: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Put what `other` says in place of what `given` says, key by key; null takes a key away."""
    out = dict(given)
    for key, value in other.items():
        if value is None:
            out.pop(key, None)
        elif isinstance(value, dict) and isinstance(out.get(key), dict):
            out[key] = merged(out[key], value)
        else:
            out[key] = value
    return out


def _read(kind: type[Given], folder: Path, name: str) -> Given:
    path = folder / f"{name}.yaml"
    if not path.is_file():
        accepted = ", ".join(sorted(file.stem for file in folder.glob("*.yaml")))
        raise InputError(f"{path}: no such file; accepted: {accepted}")
    try:
        return kind.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValidationError) as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from None
