"""Files inside installed packages, which are read and never imported."""

from importlib.util import find_spec
from pathlib import Path

from pipeline.errors import InputError


def package_path(address: str) -> Path:
    """Resolve `package:module/path` to a path inside an installed package, whose code is not run.

    Raises InputError if the package is not installed or has no such file or folder.
    """
    module, _, inside = address.removeprefix("package:").partition("/")
    try:
        spec = find_spec(module) if module.isidentifier() else None
    except (ImportError, ValueError):  # a module that is loaded and no package, such as __main__
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"{address}: package {module!r} is not installed; accepted: package:module/path")
    path = Path(spec.submodule_search_locations[0]) / inside
    if not path.exists():
        raise InputError(f"{address}: package {module!r} has no {inside!r}")
    return path
