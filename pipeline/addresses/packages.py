"""Files inside installed packages, which are read and never imported."""

from importlib.util import find_spec
from pathlib import Path

from pipeline.addresses.archives import ARCHIVES
from pipeline.errors import InputError, nearest


def package_path(address: str, key: str) -> Path:
    """Resolve `package:module/path` to a path inside an installed package, whose code is not run.

    Raises InputError naming the key if the package is not installed or has no such file or folder.
    """
    module, _, inner = address.removeprefix("package:").partition("/")
    try:
        spec = find_spec(module) if module.isidentifier() else None
    except (ImportError, ValueError):  # a loaded module that is not a package, such as __main__
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            f"{key}: {address}: package {module!r} is not installed; accepted: package:module/path"
            f"{nearest(module, ARCHIVES)}"
        )
    if ".." in Path(inner).parts:
        raise InputError(f"{key}: {address} leads out of the package; accepted: package:module/path")
    path = Path(spec.submodule_search_locations[0]) / inner
    if not path.exists():
        siblings = sorted(entry.name for entry in path.parent.glob("*")) if path.parent.is_dir() else []
        raise InputError(f"{key}: {address}: package {module!r} has no {inner!r}{nearest(path.name, siblings)}")
    return path
