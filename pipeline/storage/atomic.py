"""All or nothing: a file or folder appears under its name only when it is whole.

What a process that was killed has left is removed when the same is made anew.

Of several processes that do the same work, as torchrun starts them, the first publishes.
"""

import errno
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from platform import node
from typing import Any

from pipeline.errors import InputError
from pipeline.storage.checksums import LIST

MADE = {".csv", ".html", ".json", ".npy", ".parquet", ".safetensors", ".tsv"}
"""What the files that stages write end in."""
DAY = 24 * 60 * 60


def is_main_process() -> bool:
    """Whether this process is the one that publishes."""
    # Not asked of accelerate: importing that takes seconds.
    return os.environ.get("RANK", "0") == "0"


def check_writable(path: Path, key: str, *, folder: bool) -> None:
    """Raise InputError, naming `key`, if no file or folder can be put at `path`."""
    if path.exists() and path.is_dir() != folder:
        found, accepted = ("a file", "a folder") if folder else ("a folder", "a file")
        raise InputError(f"{key}: {path} is {found}; accepted: {accepted}")
    if folder and path.resolve().is_mount():
        raise InputError(f"{key}: {path} is where a disk is mounted; accepted: a folder inside it")
    # A link to a folder stays, and the folder it leads to is replaced.
    place = (path.resolve() if folder and path.is_symlink() else path.absolute()).parent
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise InputError(f"{key}: {path} cannot be written: {place} is a file")
    if not os.access(place, os.W_OK | os.X_OK):
        raise InputError(f"{key}: {path} cannot be written: no leave to write in {place}")


def check_output(path: Path, key: str, *, folder: bool) -> None:
    """Raise InputError, naming `key`, if `path` cannot be written, or holds files of a kind that no stage writes.

    A file or folder that is there is replaced whole, and what somebody else has put there would be lost.
    """
    check_writable(path, key, folder=folder)
    if path.is_file() and path.suffix not in MADE:
        raise InputError(f"{key}: {path} would be replaced, but no stage has written it; accepted: a new file")
    if path.is_dir():
        if Path.cwd().is_relative_to(path.resolve()):
            raise InputError(f"{key}: {path} would be replaced whole; accepted: a folder inside it")
        # Of a stage's folders only the curves have one inside; what a tokenizer writes has names of many kinds.
        made = (
            MADE - {".csv", ".html"}
            if not (path / "config.json").is_file()
            else {file.suffix for file in path.iterdir()}
        )
        strange = [
            file
            for file in path.rglob("[!.]*")
            if file.relative_to(path).parts[0] != "plots"
            and (file.is_dir() or file.suffix not in made)
            # The card of shards, and what a model's folder without its config is known by.
            and not (file.name == "README.md" and any(path.glob("*.parquet")))
            and file.name != LIST
        ]
        if strange:
            raise InputError(
                f"{key}: {path} would be replaced whole, but holds {min(strange).relative_to(path)}, which no stage "
                "has written; accepted: a new or empty folder, or one that a stage has written"
            )


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Make what a disk refuses an OSError that names `path`, instead of a temporary file or of nothing."""
    try:
        yield
    except InputError:
        raise
    except OSError as error:
        named = [str(name) for name in (error.filename, error.filename2) if name is not None]
        if named and not any(_temporary(path) in name for name in named):
            raise
        said = os.strerror(error.errno) if error.errno else str(error)
        raise OSError(error.errno or errno.EIO, said, str(path)) from error
    except Exception as error:
        # Neither safetensors nor tokenizers makes an OSError of a full disk.
        failed = re.search(r"\(os error (\d+)\)", str(error))
        if failed is None:
            raise
        raise OSError(int(failed[1]), os.strerror(int(failed[1])), str(path)) from error


def _temporary(path: Path) -> str:
    """What the paths begin with under which `path` is made."""
    return str(path.with_name(f".{path.name}."))


def _host() -> str:
    """8 hex digits of where a process number means something: a machine since its start, and on Linux the container."""
    told = [node()]
    with suppress(OSError):
        # Machines and containers may go by the same name.
        told.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
        told.append(os.readlink("/proc/self/ns/pid"))  # noqa: PTH115
    return blake2b(" ".join(told).encode(), digest_size=4).hexdigest()


def _own(path: Path) -> str:
    """What the paths begin with under which this process makes `path`."""
    return f"{_temporary(path)}{os.getpid()}@{_host()}."


def _clear(path: Path) -> None:
    """Remove what processes that were killed while they made `path` have left beside it."""
    # Removed: what a process of this host had begun that is gone, and what one of another host, whose processes cannot
    # be seen, has not touched for a day. Not removed: what a process of this host that lives may still write, names
    # that are not ours, and the folder that was there before, if the kill came before another had its name.
    pattern = re.compile(rf"\.{re.escape(path.name)}\.(\d{{1,9}})@([0-9a-f]{{8}})\.(\w+\.)?(part|old)")
    with suppress(OSError):
        for left in list(path.parent.iterdir()):
            found = pattern.fullmatch(left.name)
            if found is None or (found[4] == "old" and not path.exists()):
                continue
            gone = not _lives(int(found[1])) if found[2] == _host() else _age(left) > DAY
            if gone and left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            elif gone:
                left.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    """Whether a process of this host is there."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        # Somebody else's.
        return True
    return True


def _age(path: Path) -> float:
    """Seconds since a file, or anything in a folder, was last written."""
    return time.time() - max(file.stat().st_mtime for file in [path, *path.rglob("*")])


def _flush(file: Path) -> None:
    """Wait until the disk has a file: some find only now that there is no room."""
    with file.open("rb") as opened:
        os.fsync(opened.fileno())


@contextmanager
def publish_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success it is flushed and takes the name, else it is removed."""
    temporary = Path(f"{_own(path)}part")
    try:
        with _naming(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            _clear(path)
            yield temporary
            if is_main_process():
                _flush(temporary)
                temporary.replace(path)
    finally:
        # On a disk that has become read-only even what is not there cannot be removed.
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def publish_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder beside `path`; on success it is flushed and takes the place of `path`, else it is removed.

    If `path` is a link to a folder, the folder it leads to is replaced.
    """
    path = path.resolve() if path.is_symlink() else path
    with _naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear(path)
        temporary = Path(tempfile.mkdtemp(prefix=Path(_own(path)).name, suffix=".part", dir=path.parent))
    try:
        with _naming(path):
            temporary.chmod(0o755)
            yield temporary
            if is_main_process():
                for file in temporary.rglob("*"):
                    if file.is_file():
                        _flush(file)
                _replace(path, temporary)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _replace(path: Path, new: Path) -> None:
    """Put a folder in the place of another, which stays if that fails."""
    if not path.exists():
        new.rename(path)
        return
    old = new.with_suffix(".old")
    path.rename(old)
    try:
        new.rename(path)
    except OSError:
        old.rename(path)
        raise
    shutil.rmtree(old)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file, readable and with a stable order of keys, all or nothing."""
    with publish_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
