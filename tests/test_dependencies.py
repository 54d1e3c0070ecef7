"""Every third-party package that is imported is declared in pyproject.toml, in the group of those who import it."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipeline.addresses.archives import ARCHIVES

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
OURS = {"pipeline", "stages", "benchmarks", "helpers"}
FEATURES = ("wordnet", "ray", "tensorboard")
"""Extras of features that are off by default; only functions may import their packages."""
GROUPS = {"pipeline": FEATURES, "stages": FEATURES, "benchmarks": ("bench",), "tests": ("dev",)}
"""The extras that each folder may use besides the dependencies."""
distributions_by_module = cache(packages_distributions)
SEPARATE = {
    "nlpaug": "benchmarks/speed/nlpaug_worker.py runs in an environment that the benchmark makes for it",
    "sentence_transformers": "scripts in benchmarks/peers run in environments of their own",
    "setfit": "so does benchmarks/peers/setfit.py",
    "sklearn": "so do benchmarks/peers/tfidf.py and logistic.py",
}


def imports(tree: ast.AST, inside: bool = False) -> Iterator[tuple[str, bool]]:
    """Top-level names of the third-party modules that a module imports, and whether a function imports them."""
    for node in ast.iter_child_nodes(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        for name in names:
            top = name.split(".")[0]
            if top not in sys.stdlib_module_names | OURS:
                yield top, inside
        yield from imports(node, inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in requirements}


def undeclared(folder: Path, required: set[str], optional: set[str], lazy: bool) -> list[str]:
    """Imports of a folder that neither group has; if `lazy`, what is optional counts only inside functions."""
    distributions = distributions_by_module()
    found = []
    for path in sorted(folder.rglob("*.py")):
        for module, inside in imports(ast.parse(path.read_text(encoding="utf-8"))):
            allowed = required | optional if inside or not lazy else required
            candidates = {canonicalize_name(name) for name in distributions.get(module, [module])}
            if module not in SEPARATE and not candidates & allowed:
                found.append(f"{path.relative_to(folder.parent)}: {module}")
    return found


@pytest.mark.parametrize("folder", GROUPS)
def test_imports_are_declared(folder: str) -> None:
    optional = names([line for extra in GROUPS[folder] for line in EXTRAS[extra]])
    lazy = GROUPS[folder] == FEATURES
    assert not undeclared(ROOT / folder, names(PROJECT["dependencies"]), optional, lazy)


def test_an_undeclared_import_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "pipeline"
    folder.mkdir()
    (folder / "a.py").write_text(
        "import os\nimport numpy as np\nimport pipeline.errors\n\ndef f():\n    import ray\n    from yaml import load\n"
    )
    (folder / "b.py").write_text("import ray.util\n")
    assert undeclared(folder, {"numpy"}, {"ray"}, lazy=True) == ["pipeline/a.py: yaml", "pipeline/b.py: ray"]


def test_constraints_have_an_admitted_version_of_each() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    versions = {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}
    for requirement in map(Requirement, PROJECT["dependencies"] + EXTRAS["dev"] + EXTRAS["base"]):
        version = versions.get(canonicalize_name(requirement.name))
        assert version is not None, f"constraints.txt has no {requirement.name}"
        assert requirement.specifier.contains(version), f"{requirement}: constraints.txt has {version}"


def test_the_parts_of_archives_are_an_extra() -> None:
    assert names(EXTRAS["base"]) == {name for archive in ARCHIVES.values() for name in archive.parts}


def test_dev_has_the_packages_of_every_feature() -> None:
    features = names([line for extra in FEATURES for line in EXTRAS[extra]])
    assert features <= names(EXTRAS["dev"])
