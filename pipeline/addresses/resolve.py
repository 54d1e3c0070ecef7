"""The kind of an address in params.yaml (package, local path, glob or hub id), and the folder of a model's address."""

import os
import re
from pathlib import Path
from typing import Literal

from pipeline.addresses.archives import is_archive, open_archive
from pipeline.addresses.hub import connection_error
from pipeline.addresses.packages import package_path
from pipeline.errors import InputError
from pipeline.storage.checksums import check_sums

Kind = Literal["package", "local", "glob", "hub"]
TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
HUB_ID = re.compile(r"(\b[\w.-]+\b/)?\b[\w.-]{1,96}\b")
"""`name` or `organisation/name`, as the hub accepts them."""


def kind_of(address: str) -> Kind | None:
    """What the address of a model or table is, by the first rule that holds.

    1. `package`: it begins with `package:`.
    2. `local`: a file or folder of that name exists, `~` expanded.
    3. `glob`: it has one of the characters `*?[`.
    4. `local`: it begins with `.`, `/` or `~`, has two slashes or more, or ends in one of `TABLE_SUFFIXES`.
    5. `hub`: it is a valid hub id, `name` or `organisation/name`.

    Returns None if no rule holds. Neither the hub nor the package is asked whether it has the model or table.
    """
    if address.startswith("package:"):
        return "package"
    if Path(expand_home(address)).exists():
        return "local"
    if any(character in address for character in "*?["):
        return "glob"
    if address.startswith((".", "/", "~")) or address.count("/") > 1 or address.lower().endswith(TABLE_SUFFIXES):
        return "local"
    if HUB_ID.fullmatch(address) and "--" not in address and ".." not in address:
        return "hub"
    return None


def expand_home(address: str) -> str:
    """Replace a leading `~` by the home folder; unlike Path.expanduser, leave the name of an unknown user as it is."""
    return os.path.expanduser(address)  # noqa: PTH111


def resolve_model(address: str | Path, key: str) -> str:
    """Turn a model's address into what `from_pretrained` takes: a checked folder, or a hub id as it is.

    A Path is a folder, whatever its name; a string may be any address that params.yaml accepts. If the hub cannot be
    reached, a hub id becomes its folder in the hub's cache on this machine. A model in the parts of an archive becomes
    its folder in the user's cache, assembled the first time.

    Raises InputError if there is no such model, its folder has no config or no safetensors weights, or the SHA-256 of
    one of its files other than the weights does not match.
    """
    kind = "local" if isinstance(address, Path) else kind_of(address)
    if kind is None:
        raise InputError(f"{key}: {address} is not a valid address; accepted: a folder, package: address or hub id")
    if kind == "hub":
        unreachable = connection_error("model", str(address))
        if not unreachable:
            return str(address)
        folder = _cached_model(str(address), key, unreachable)
    elif kind == "package":
        folder = open_archive(str(address), key) if is_archive(str(address)) else package_path(str(address), key)
    else:
        folder = address if isinstance(address, Path) else Path(expand_home(address))
    if not folder.is_dir():
        raise InputError(f"{key}: no such model folder: {address}")
    check_sums(folder, key, weights=False)
    if not (folder / "config.json").is_file():
        raise InputError(f"{key}: {address} has no config.json; accepted: a folder written by save_pretrained")
    if not list(folder.glob("*.safetensors")):
        raise InputError(f"{key}: {address} has no .safetensors weights; accepted: safetensors only")
    return str(folder.absolute())


def _cached_model(hub_id: str, key: str, unreachable: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(hub_id, local_files_only=True))
    except LocalEntryNotFoundError as error:
        raise InputError(
            f"{key}: {hub_id} is not a local folder, the hub cannot be reached ({unreachable}) "
            "and its cache has no such model"
        ) from error
