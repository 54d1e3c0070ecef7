"""Names for work: the same inputs and params give the same fingerprint, anything else another one."""

import json
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any


def fingerprint(**parts: Any) -> str:
    """32 hex digits for JSON-like parts; the order of keys does not matter."""
    return blake2b(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode(), digest_size=16).hexdigest()


def file_hash(path: Path) -> str:
    """32 hex digits of a file's content."""
    digest = blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def code_hash(*places: str) -> str:
    """32 hex digits of modules or folders of this package: what they made goes when they change."""
    here = Path(__file__).parent
    files = [file for place in places for file in (sorted((here / place).rglob("*.py")) or [here / place])]
    return fingerprint(sources=[file_hash(file) for file in files])


def environment() -> dict[str, str]:
    """What else decides the last digits of a model's outputs: the libraries and the kind of device."""
    from pipeline import models

    libraries = ("torch", "transformers", "tokenizers")
    return {name: version(name) for name in libraries} | {"device": models.device().type}


def folder_hash(folder: Path, kind: str = "*") -> str:
    """32 hex digits of the names and contents of a folder's files, or of those of a kind, such as `*.parquet`."""
    files = sorted(path for path in folder.rglob(kind) if path.is_file())
    return fingerprint(files=[[path.relative_to(folder).as_posix(), file_hash(path)] for path in files])
