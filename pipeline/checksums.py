"""What the files of a model folder were when they were written, in a list that `sha256sum --check` reads as well."""

import hashlib
import re
from pathlib import Path

from pipeline.errors import InputError

LIST = "SHA256SUMS"
WEIGHTS = (".safetensors", ".onnx")


def write_sums(folder: Path) -> None:
    """Write the list of the folder's files beside them."""
    lines = [f"{_sha256(file)}  {file.name}\n" for file in sorted(folder.iterdir())]
    (folder / LIST).write_text("".join(lines), encoding="utf-8")


def check_sums(folder: Path, key: str, *, weights: bool) -> None:
    """Raise InputError, naming `key` and the file, if one is missing or is not what was written.

    A folder without a list is taken as it is: other programs write none. Files that are not on the list do not count.

    Args:
        weights: whether the weights are looked at, too, which takes a while for large ones.
    """
    listed = folder / LIST
    if not listed.is_file():
        return
    for line in listed.read_text(encoding="utf-8", errors="replace").splitlines():
        found = re.fullmatch(r"([0-9a-f]{64})  ([^/]+)", line)
        if found is None:
            raise InputError(f"{key}: {listed} is damaged; make or fetch the folder again")
        file = folder / found[2]
        if file.suffix in WEIGHTS and not weights:
            continue
        if not file.is_file():
            raise InputError(f"{key}: {file} is missing; make or fetch the folder again")
        if _sha256(file) != found[1]:
            raise InputError(
                f"{key}: {file} is not what was written; make or fetch the folder again, or remove {listed} to take it "
                "as it is"
            )


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
