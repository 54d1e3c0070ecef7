"""Checksums of files and tensors: changes since they were written are found before they are used."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pipeline.errors import InputError

if TYPE_CHECKING:
    import torch

SUMS = "SHA256SUMS"
"""The list of checksums in a model folder, which `sha256sum --check` can read."""
WEIGHTS = (".safetensors", ".onnx")
"""Suffixes of files with weights."""


def write_sums(folder: Path) -> None:
    """Write the list of checksums of a folder's files into it."""
    files = [file for file in sorted(folder.iterdir()) if file.is_file() and file.name != SUMS]
    (folder / SUMS).write_text("".join(f"{sha256(file)}  {file.name}\n" for file in files), encoding="utf-8")


def check_sums(folder: Path, key: str, *, weights: bool) -> None:
    """Raise InputError, naming `key` and the file, if a listed file is missing or has changed since it was written.

    Unlisted weights and JSON files are refused; other unlisted files, such as a card, are allowed. A folder without a
    list, as other programs write it, is not checked.

    Args:
        weights: whether the files with weights are hashed, too, which takes a while for large ones.
    """
    sums = folder / SUMS
    if not sums.is_file():
        return
    fix = f"make or fetch the folder again, or remove {sums} to take it as it is"
    listed = read_sums(folder)
    if listed is None:
        raise InputError(f"{key}: {sums} is damaged; {fix}")
    for name, expected in listed.items():
        file = folder / name
        if not file.is_file():
            raise InputError(f"{key}: {file} is missing; {fix}")
        if (weights or file.suffix not in WEIGHTS) and sha256(file) != expected:
            raise InputError(f"{key}: {file} is not what was written; {fix}")
    for file in sorted(folder.iterdir()):
        if file.suffix in (*WEIGHTS, ".json") and file.name not in listed:
            raise InputError(f"{key}: {sums} does not name {file.name}; {fix}")


def read_sums(folder: Path) -> dict[str, str] | None:
    """The listed checksums of a folder's files by their paths in it; none without a list, None if it is damaged."""
    sums, listed = folder / SUMS, {}
    lines = sums.read_text(encoding="utf-8", errors="replace").splitlines() if sums.is_file() else []
    for line in filter(None, lines):
        match = re.fullmatch(r"([0-9a-f]{64}) [ *](?:\./)?(.+)", line)
        if match is None or match[2] in listed:
            return None
        if PurePosixPath(match[2]).is_absolute() or ".." in PurePosixPath(match[2]).parts:
            return None
        listed[match[2]] = match[1]
    return listed


def sha256(file: Path) -> str:
    """The SHA-256 of a file, in hex digits."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def checksum(tensors: "Mapping[str, torch.Tensor]") -> str:
    """32 hex digits that identify tensors by their names and bytes."""
    import torch

    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
