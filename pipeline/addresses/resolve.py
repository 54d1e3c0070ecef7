"""What the address of a model in params.yaml names: a folder, a folder inside a package, or a hub id."""

import os
import re
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError

from pipeline.addresses.hub import silence
from pipeline.addresses.packages import package_path
from pipeline.errors import InputError
from pipeline.storage.checksums import check_sums


def resolve(address: str | Path, key: str) -> str:
    """Turn a model's address into what `from_pretrained` takes: a checked folder, or a hub id as it is.

    A Path is a folder, whatever its name; text may be any of the addresses that params.yaml takes. While the hub is
    out of reach, a hub id becomes the folder that its cache on this machine has of it.

    Raises InputError if there is no such model, its folder has no config or holds no safetensors weights, or one of its
    files but for the weights is not what was written.
    """
    if isinstance(address, Path):
        folder = address
    elif address.startswith("package:"):
        folder = package_path(address, key)
    elif Path(address).exists() or address.startswith((".", "/", "~")) or address.count("/") > 1:
        # Unlike Path.expanduser it leaves the name of a user who is not there as it is.
        folder = Path(os.path.expanduser(address))  # noqa: PTH111
    elif not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", address):
        raise InputError(f"{key}: {address} is no folder, package: address or hub id")
    elif silent := silence("model", address):
        folder = _cached(address, key, silent)
    else:
        return address
    if not folder.is_dir():
        raise InputError(f"{key}: no such model folder: {address}")
    check_sums(folder, key, weights=False)
    if not (folder / "config.json").is_file():
        raise InputError(f"{key}: {address} has no config.json; accepted: a folder written by save_pretrained")
    if not list(folder.glob("*.safetensors")):
        raise InputError(f"{key}: {address} has no .safetensors weights; accepted: safetensors only")
    return str(folder.absolute())


def _cached(name: str, key: str, silent: str) -> Path:
    try:
        return Path(snapshot_download(name, local_files_only=True))
    except LocalEntryNotFoundError:
        raise InputError(
            f"{key}: {name} is no folder here, the hub cannot be reached ({silent}) and its cache has no such model"
        ) from None
