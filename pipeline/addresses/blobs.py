"""Whether files in the hub's cache are those that the hub named: a damaged one may have the right length."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import InputError
from pipeline.storage.atomic import publish_file
from pipeline.storage.checksums import sha256
from pipeline.storage.fingerprint import fingerprint
from pipeline.storage.workcache import root

SMALL = 1_000_000
"""Bytes of a file that is hashed each time; the result for a larger one is kept in the work cache."""


def check_blobs(folder: Path, key: str, address: str, patterns: Sequence[str]) -> None:
    """Raise InputError, naming the file to delete, if a file of a commit's folder is not what the hub named it by.

    The cache names what it holds by the SHA-256 of large files and the git hash of others. A file is hashed again if
    its path, size or time of change is another; one that has no such name is not checked.

    Args:
        key: the parameter that names `address`.
        patterns: of the files that are read.
    """
    for path in sorted(path for pattern in patterns for path in folder.glob(pattern)):
        blob = path.resolve()
        if not blob.is_file() or not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", blob.name):
            continue
        status = blob.stat()
        seen = root() / "hub" / fingerprint(file=[str(blob), status.st_size, status.st_mtime_ns])
        if status.st_size >= SMALL and seen.is_file():
            continue
        if (sha256(blob) if len(blob.name) == 64 else _git_hash(blob)) != blob.name:
            raise InputError(f"{key}: {address} is damaged in the hub's cache; delete {blob} and run it again")
        if status.st_size >= SMALL:
            with publish_file(seen) as temporary:
                temporary.write_text(f"{blob}\n", encoding="utf-8")


def _git_hash(path: Path) -> str:
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
