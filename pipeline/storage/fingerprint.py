"""Fingerprints: the same inputs, params and code give the same name, anything else another one."""

import json
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Any

from pipeline.storage.closure import closure, source


def fingerprint(**parts: Any) -> str:
    """32 hex digits for JSON-like parts; the order of keys does not matter."""
    return blake2b(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode(), digest_size=16).hexdigest()


def hash64(text: str) -> int:
    """64 bits, as a signed integer."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little", signed=True)


def file_hash(path: Path) -> str:
    """32 hex digits of a file's content."""
    with path.open("rb") as file:
        return file_digest(file, lambda: blake2b(digest_size=16)).hexdigest()


def code_hash(module: str) -> str:
    """32 hex digits of the code that decides what a module computes: its import closure."""
    return fingerprint(sources={name: file_hash(source(name)) for name in closure(module)})


def folder_hash(folder: Path, kind: str = "*") -> str:
    """32 hex digits of the names and contents of a folder's files, or of those of a kind, such as `*.parquet`."""
    files = sorted(path for path in folder.rglob(kind) if path.is_file())
    return fingerprint(files=[[path.relative_to(folder).as_posix(), file_hash(path)] for path in files])
