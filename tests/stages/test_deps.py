"""The deps of every stage of dvc.yaml cover the modules that decide its outs, and nothing else of the code."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from pipeline.params.methods import METHODS
from pipeline.storage.closure import INERT, ROOT, closure, has_code, imports, source

DYNAMIC = {"augment": [f"pipeline.augment.methods.{method}" for method in METHODS]}
"""Modules that a stage imports by a name that it computes."""
LAYERS = [
    ["errors"],
    ["params"],
    ["storage"],
    ["addresses"],
    ["compute"],
    ["models", "data"],
    ["evaluation"],
    ["training"],
    ["augment"],
    ["distill"],
    ["inspect"],
    ["serving", "report", "sharing", "setup"],
    ["stages"],
]
"""A package imports packages of earlier lines only."""
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for folder in ("pipeline", "stages")
    for path in (ROOT / folder).rglob("*.py")
)
STAGES = {
    name: [str(dep) for dep in stage.get("do", stage)["deps"]]
    for name, stage in yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"].items()
}


def package(module: str) -> str:
    return "stages" if module.split(".")[0] == "stages" else module.split(".")[1]


def code(stage: str) -> set[str]:
    """The paths of the modules that decide a stage's outs."""
    modules = {name for start in (f"stages.{stage}", *DYNAMIC.get(stage, [])) for name in closure(start)}
    return {source(name).relative_to(ROOT).as_posix() for name in modules}


def covers(dep: str, path: str) -> bool:
    return path == dep or path.startswith(f"{dep}/")


@pytest.mark.parametrize("stage", STAGES)
def test_deps_are_the_import_closure(stage: str) -> None:
    deps = [dep for dep in STAGES[stage] if dep.startswith(("pipeline/", "stages/"))]
    missing = sorted(path for path in code(stage) if not any(covers(dep, path) for dep in deps))
    superfluous = sorted(dep for dep in deps if not any(covers(dep, path) for path in code(stage)))
    assert (missing, superfluous) == ([], []), f"{stage}: missing {missing}, superfluous {superfluous}"
    assert [dep for dep in deps if not (ROOT / dep).exists()] == []


def test_every_stage_runs_the_module_of_its_name() -> None:
    for name, stage in yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"].items():
        assert stage.get("do", stage)["cmd"].split()[:2] == ["stages/run", name]


def test_inert_modules_exist_and_each_has_a_reason() -> None:
    assert [name for name in INERT if name not in MODULES] == []
    assert all(INERT.values())


def test_the_code_that_decides_numbers_is_not_inert() -> None:
    for module in ("compute.distributed", "storage.parquet", "storage.fingerprint", "params.objectives"):
        assert f"pipeline.{module}" in closure("stages.distill")


def test_only_known_modules_are_imported_by_computed_names() -> None:
    calls = [name for name in MODULES if "import_module(" in source(name).read_text(encoding="utf-8")]
    assert set(calls) - {"pipeline.storage.closure"} == {"pipeline.augment.methods.interface", "stages.l2a"}
    assert all(source(name).is_file() for names in DYNAMIC.values() for name in names)


def test_code_of_packages_is_in_the_closure_of_their_modules() -> None:
    for module in MODULES:
        if source(module).name == "__init__.py" and has_code(module) and module not in INERT:
            inner = [name for name in MODULES if name.startswith(f"{module}.")]
            assert inner
            assert all(module in closure(name) for name in inner), module


def test_imports_inside_functions_and_of_packages_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "pipeline/__init__.py": '"""Nothing but this."""',
        "pipeline/a/__init__.py": "import pipeline.c",
        "pipeline/a/b.py": "def f():\n    from pipeline.d import g",
        "pipeline/c.py": "x = 1",
        "pipeline/d.py": "import pipeline.errors",
        "pipeline/errors.py": "import pipeline.c",
        "stages/x.py": "import pipeline.a.b",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr("pipeline.storage.closure.ROOT", tmp_path)
    assert closure("stages.x") == ("stages.x", "pipeline.a", "pipeline.a.b", "pipeline.c", "pipeline.d")


def test_packages_import_only_earlier_ones() -> None:
    layer = {name: number for number, names in enumerate(LAYERS) for name in names}
    wrong = [
        f"{module} imports {other}"
        for module in MODULES
        for other in imports(module)
        if package(module) != package(other) and layer[package(other)] >= layer[package(module)]
    ]
    assert wrong == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " → ".join((*path, module))
        if module not in done:
            for other in imports(module):
                visit(other, (*path, module))
            done.add(module)

    for module in MODULES:
        visit(module, ())


def test_data_is_read_without_torch() -> None:
    for module in MODULES:
        if module.startswith("pipeline.data"):
            nodes = ast.walk(ast.parse(source(module).read_text(encoding="utf-8")))
            names = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
            assert not {name for name in names if name and name.split(".")[0] in ("torch", "transformers")}, module


def test_the_map_in_the_readme_has_the_packages_in_this_order():
    packages = re.findall(r"^  (\w+)/ ", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    layer = {package: number for number, layer in enumerate(LAYERS) for package in layer}
    assert sorted(packages) == sorted(path.parent.name for path in (ROOT / "pipeline").glob("*/__init__.py"))
    assert packages == sorted(packages, key=lambda package: layer[package])
