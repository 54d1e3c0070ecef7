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
    """`base` with what `overlay` holds.

    Mappings are merged key by key, but for those that describe data, where a key of the one means nothing to the other:
    a table with a `path` replaces the whole table, and `columns`, `labels` and `where` replace those of the table.
    null is a value: it does not remove a key.
    """
    merged = dict(base)
    for key, value in overlay.items():
        merged[key] = merge(base[key], value) if is_merged(key, base.get(key), value) else value
    return merged


def is_merged(key: str, base: Any, overlay: Any) -> bool:
    """Whether the value of a key is merged with the one below it, and does not replace it."""
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
