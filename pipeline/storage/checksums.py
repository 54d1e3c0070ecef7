"""What files and tensors were when they were written: found before they are used, if they have changed since."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pipeline.errors import InputError

if TYPE_CHECKING:
    import torch

LIST = "SHA256SUMS"
"""In a model folder: what `sha256sum --check` reads as well."""
WEIGHTS = (".safetensors", ".onnx")


def write_sums(folder: Path) -> None:
    """Write the list of the folder's files beside them."""
    files = [file for file in sorted(folder.iterdir()) if file.is_file() and file.name != LIST]
    (folder / LIST).write_text("".join(f"{_sha256(file)}  {file.name}\n" for file in files), encoding="utf-8")


def check_sums(folder: Path, key: str, *, weights: bool) -> None:
    """Raise InputError, naming `key` and the file, if one is missing or is not what was written.

    A folder without a list, as other programs write them, is taken as it is. Of what is not listed, weights and JSON
    files are refused; all else, such as a card, does not count.

    Args:
        weights: whether what the weights hold is looked at, too, which takes a while for large ones.
    """
    listed = folder / LIST
    if not listed.is_file():
        return
    mend = f"make or fetch the folder again, or remove {listed} to take it as it is"
    names = set()
    for line in listed.read_text(encoding="utf-8", errors="replace").splitlines():
        found = re.fullmatch(r"([0-9a-f]{64}) [ *](?:\./)?(.+)", line)
        if found is None or PurePosixPath(found[2]).is_absolute() or ".." in PurePosixPath(found[2]).parts:
            raise InputError(f"{key}: {listed} is damaged; {mend}")
        file = folder / found[2]
        names.add(found[2])
        if not file.is_file():
            raise InputError(f"{key}: {file} is missing; {mend}")
        if (weights or file.suffix not in WEIGHTS) and _sha256(file) != found[1]:
            raise InputError(f"{key}: {file} is not what was written; {mend}")
    for file in sorted(folder.iterdir()):
        if file.suffix in (*WEIGHTS, ".json") and file.name not in names:
            raise InputError(f"{key}: {listed} does not name {file.name}; {mend}")


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def checksum(tensors: "Mapping[str, torch.Tensor]") -> str:
    """32 hex digits of tensors' names and bytes."""
    import torch

    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
