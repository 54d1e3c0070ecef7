"""Which modules of this project a module's results depend on: its imports, their imports, and so on."""

import ast
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
INERT = {
    "pipeline.errors": "the wording of errors",
    "pipeline.params.data": "a stage names its parameters, and their values are hashed",
    "pipeline.params.file": "likewise",
    "pipeline.params.models": "likewise",
    "pipeline.params.objectives": "likewise",
    "pipeline.params.schema": "likewise",
    "pipeline.params.types": "likewise",
    "pipeline.compute.progress": "progress bars",
    "pipeline.compute.engine": "where a shard is computed, not what is in it",
    "pipeline.models.compatibility": "checks that pass or stop the stage",
    "pipeline.storage.atomic": "how a file gets its name, not what is in it",
    "pipeline.storage.closure": "what is hashed",
    "pipeline.storage.fingerprint": "what is hashed",
    "pipeline.storage.workcache": "where finished pieces lie",
    "pipeline.addresses.hub": "whether the hub answers",
    "pipeline.addresses.packages": "where a file lies; its content is hashed",
    "pipeline.addresses.resolve": "likewise",
    "stages.command": "how a stage is started and how it reports",
}
"""Modules whose change leaves every result as it is, each with the reason; what they import does not count either."""


@lru_cache
def closure(module: str) -> tuple[str, ...]:
    """Names of the modules that decide what `module`, such as `stages.augment`, computes: itself first, then sorted.

    Imports inside functions count. Modules in `INERT` are left out.
    """
    found: set[str] = set()
    pending = [module]
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending += imports(name) - INERT.keys()
    return module, *sorted(found - {module})


def imports(module: str) -> set[str]:
    """Names of this project's modules that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(source(module).read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found |= {name for name in names if name.startswith(("pipeline.", "stages.")) and source(name).is_file()}
    return found


def source(module: str) -> Path:
    """The file of a module; packages, whose `__init__.py` hold no code, have none."""
    return ROOT.joinpath(*module.split(".")).with_suffix(".py")
