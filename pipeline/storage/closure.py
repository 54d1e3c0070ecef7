"""The import closure of a module: the modules of this project that decide what it computes."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
INERT = {
    "stages": "what a signal does while modules are imported, and when garbage is collected",
    "stages.command": "how a stage starts, reports and stops",
    "pipeline.errors": "the wording of errors",
    "pipeline.params.data": "checks params, whose values are hashed themselves",
    "pipeline.params.file": "checks params, whose values are hashed themselves",
    "pipeline.params.models": "checks params, whose values are hashed themselves",
    "pipeline.params.schema": "checks params, whose values are hashed themselves",
    "pipeline.params.types": "checks params, whose values are hashed themselves",
    "pipeline.storage.atomic": "how a file gets its name, not what is in it",
    "pipeline.storage.workcache": "where finished pieces are kept, not what is in them",
    "pipeline.storage.closure": "decides under which name finished work is kept, not what is in it",
    "pipeline.compute.environment": "decides under which name finished work is kept, not what is in it",
    "pipeline.compute.engine": "where a shard is computed; it is the same everywhere",
    "pipeline.compute.progress": "progress bars",
    "pipeline.models.compatibility": "checks that pass or stop the stage",
    "pipeline.models.ids": "checks that pass or stop the stage",
    "pipeline.models.families": "checks that pass or stop the stage",
    "pipeline.addresses.blobs": "checks that pass or stop the stage",
    "pipeline.addresses.waiting": "how long the hub is waited for",
    "pipeline.addresses.hub": "whether the hub answers, and the wording of its errors",
}
"""Modules whose change leaves every result as it is, each with the reason; their own imports are not followed."""

INDIRECT_IMPORTS = {
    "pipeline.distill.losses": ["pipeline.params.objectives"],
    "pipeline.data.loading": ["pipeline.params.written", "pipeline.params.yaml12"],
    "stages.tables": ["pipeline.params.written", "pipeline.params.yaml12"],
}
"""By module, other modules that it uses without an import statement, because the params bring them.

`losses.py` calls methods of `Objectives` to find out which losses to compute. `data/loading.py` compares cells with
labels and filters as they are written in params.yaml, and `tables.py` writes them down.
"""


def closure(module: str) -> tuple[str, ...]:
    """Names of the modules that decide what `module`, such as `stages.augment`, computes: itself first, then sorted.

    Imports inside functions count. A package counts if its `__init__.py` holds code. Modules in `INERT` are left out.
    """
    names: set[str] = set()
    pending = [module]
    while pending:
        name = pending.pop()
        if name not in names:
            names.add(name)
            pending += imports(name) - INERT.keys()
    return module, *sorted(names - {module})


def imports(module: str) -> set[str]:
    """Names of this project's modules that a module imports or uses (`INDIRECT_IMPORTS`), without their own imports.

    Importing `a.b.c` also runs `a/__init__.py` and `a/b/__init__.py`.
    """
    names = {*_imported_names(source(module)), *INDIRECT_IMPORTS.get(module, [])}
    packages = {".".join(name.split(".")[:depth]) for name in names for depth in range(1, name.count(".") + 1)}
    return {name for name in names | packages if name != module and source(name).is_file() and has_code(name)}


def has_code(module: str) -> bool:
    """Whether a module, or a package's `__init__.py`, holds more than a docstring."""
    return _has_code(source(module))


def source(module: str) -> Path:
    """The file of a module; of a package, its `__init__.py`."""
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _imported_names(path: Path) -> frozenset[str]:
    """Names of this project's modules, and of what is in them, that a file's import statements hold."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return frozenset(name for name in names if name.split(".")[0] in ("pipeline", "stages"))


@cache
def _has_code(path: Path) -> bool:
    return any(not isinstance(node, ast.Expr) for node in ast.parse(path.read_text(encoding="utf-8")).body)
