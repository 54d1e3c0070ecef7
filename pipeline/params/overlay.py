"""Presets: params files that hold some keys and take all others from params.yaml."""

from pathlib import Path
from typing import Any

from pipeline.errors import InputError, nearest
from pipeline.params.yaml12 import read_yaml

PRESETS = Path("presets")
BASE = "params.yaml"
"""The whole params file beside the folder of the presets."""
_KEYS_ARE_DATA = ("columns", "labels", "where")


def merge(base: dict[str, Any], overlay: dict[str, Any]) -> dict[str, Any]:
    """`base` with the values of `overlay`.

    Mappings are merged key by key. Those that describe a table are replaced instead, because their keys belong to that
    table: a mapping with a `path` replaces the whole table, and `columns`, `labels` and `where` replace the old ones.
    null is a value like any other: it does not remove a key.
    """
    merged = dict(base)
    for key, value in overlay.items():
        merged[key] = merge(base[key], value) if is_merged(key, base.get(key), value) else value
    return merged


def is_merged(key: str, base: Any, overlay: Any) -> bool:
    """Whether a key's value is merged with that of the base; otherwise it replaces it."""
    mappings = isinstance(base, dict) and isinstance(overlay, dict)
    return mappings and key not in _KEYS_ARE_DATA and "path" not in overlay


def find_params(path: Path) -> Path:
    """A params file by its path, or a preset by its name alone. Raises InputError if there is no such preset."""
    if path.suffix or path.exists():
        return path
    presets = {preset.stem: preset for preset in sorted(PRESETS.glob("*.yaml"))}
    if str(path) not in presets:
        accepted = f"a params file, or a preset: {', '.join(presets) or f'there is none in {PRESETS}'}"
        raise InputError(f"{path}: no such preset; accepted: {accepted}{nearest(str(path), presets)}")
    return presets[str(path)]


def base_of(path: Path) -> Path | None:
    """The params file that a preset is laid over; None if `path` is not in a folder of presets."""
    folder = path.parent if path.parent.name else path.absolute().parent
    return folder.parent / BASE if folder.name == PRESETS.name else None


def read_params(path: Path) -> dict[str, Any]:
    """The parameters of a file, unchecked; those of a preset with all keys of params.yaml.

    Raises InputError naming the file if it cannot be read or is not a mapping.
    """
    base = base_of(path)
    values = _read_mapping(path)
    return values if base is None else merge(_read_mapping(base), values)


def _read_mapping(path: Path) -> dict[str, Any]:
    try:
        values = read_yaml(path)
    except FileNotFoundError as error:
        names = [file.name for file in path.parent.glob("*.yaml")]
        raise InputError(f"{path}: no such params file{nearest(path.name, names)}") from error
    if not isinstance(values, dict):
        found = "nothing" if values is None else type(values).__name__
        raise InputError(f"{path}: got {found}; accepted: a mapping of parameters")
    return values
