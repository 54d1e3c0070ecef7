"""Atomic writes: a file or folder appears under its name only when it is complete.

Temporary files that a killed process left are removed when the same output is written again. Of several processes that
do the same work, as torchrun starts them, only the first publishes.
"""

import errno
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

from pipeline.errors import InputError
from pipeline.storage.checksums import SUMS, read_sums

SUFFIXES = {".csv", ".html", ".json", ".npy", ".parquet", ".safetensors", ".tsv"}
"""Suffixes of the files that stages write."""
TOKENIZERS = {".model", ".onnx", ".txt"}
"""Suffixes that model folders have beside them; a list of checksums names the others."""
JAVASCRIPT = {"onnx": "onnx/model.onnx", "int8": "onnx/model_quantized.onnx"}
"""Where transformers.js looks in a model's folder, if its `dtype` is fp32 or q8."""
DAY = 24 * 60 * 60
"""Seconds in a day."""


def is_main_process() -> bool:
    """Whether this process is the one that publishes."""
    # Read from the environment, because importing accelerate takes seconds.
    return os.environ.get("RANK", "0") == "0"


def check_writable(path: Path, key: str, *, folder: bool) -> None:
    """Raise InputError, naming `key`, if no file or folder can be put at `path`."""
    if path.exists() and path.is_dir() != folder:
        found, accepted = ("a file", "a folder") if folder else ("a folder", "a file")
        raise InputError(f"{key}: {path} is {found}; accepted: {accepted}")
    if folder and path.resolve().is_mount():
        raise InputError(f"{key}: {path} is where a disk is mounted; accepted: a folder inside it")
    # A link to a folder stays; the folder it points to is replaced.
    parent = (path.resolve() if folder and path.is_symlink() else path.absolute()).parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir():
        raise InputError(f"{key}: {path} cannot be written: {parent} is a file")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise InputError(f"{key}: {path} cannot be written: permission denied in {parent}")


def check_output(path: Path, key: str, *, folder: bool) -> None:
    """Raise InputError, naming `key`, if `path` cannot be written, or holds files of a kind that no stage writes.

    An existing file or folder is replaced as a whole, so other people's files in it would be lost.
    """
    check_writable(path, key, folder=folder)
    if path.is_file() and path.suffix not in SUFFIXES:
        raise InputError(f"{key}: {path} would be replaced, but no stage has written it; accepted: a new file")
    if path.is_dir():
        if Path.cwd().is_relative_to(path.resolve()):
            raise InputError(f"{key}: {path} would be replaced whole; accepted: a folder inside it")
        # Only the curves and `share/onnx` have subfolders; tokenizers write files with many suffixes.
        is_model = (path / "config.json").is_file()
        expected = SUFFIXES - {".csv", ".html"} | (TOKENIZERS if is_model else set())
        listed = read_sums(path) or {}
        foreign = [
            file
            for file in path.rglob("[!.]*")
            if file.relative_to(path).parts[0] != "plots"
            and not (is_model and file.relative_to(path).as_posix() in ("onnx", *JAVASCRIPT.values()))
            and (file.is_dir() or file.suffix not in expected or (is_model and file.parent != path))
            and not (is_model and file.relative_to(path).as_posix() in listed)
            # The card of a model or of shards, and the list of checksums of a model folder without its config.
            and not (file.name == "README.md" and (is_model or any(path.glob("*.parquet"))))
            and file.name != SUMS
        ]
        if foreign:
            raise InputError(
                f"{key}: {path} would be replaced whole, but holds {min(foreign).relative_to(path)}, which no stage "
                "has written; accepted: a new or empty folder, or one that a stage has written"
            )


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Make errors of the disk an OSError that names `path`, instead of a temporary file or no file."""
    try:
        yield
    except InputError:
        raise
    except OSError as error:
        names = [str(name) for name in (error.filename, error.filename2) if name is not None]
        if names and not any(_temporary_prefix(path) in name for name in names):
            raise
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise OSError(error.errno or errno.EIO, reason, str(path)) from error
    except Exception as error:
        # On a full disk, safetensors and tokenizers raise no OSError, but name its number.
        match = re.search(r"\(os error (\d+)\)", str(error))
        if match is None:
            raise
        raise OSError(int(match[1]), os.strerror(int(match[1])), str(path)) from error


def _temporary_prefix(path: Path) -> str:
    """The start of the temporary paths of `path`, whichever process writes it."""
    return str(path.with_name(f".{path.name}."))


def _host() -> str:
    """8 hex digits of the scope of process numbers: this machine since it was started and, on Linux, the container."""
    parts = [node()]
    with suppress(OSError):
        # Machines and containers may have the same name.
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
        parts.append(os.readlink("/proc/self/ns/pid"))  # noqa: PTH115
    return blake2b(" ".join(parts).encode(), digest_size=4).hexdigest()


def _own_prefix(path: Path) -> str:
    """The start of the temporary paths of `path` in this process."""
    return f"{_temporary_prefix(path)}{os.getpid()}@{_host()}."


def _clear(path: Path) -> None:
    """Remove temporary files of `path` that killed processes left beside it."""
    # Removed: files of a process of this host that no longer runs, and files of another host, whose processes cannot be
    # seen, that have not changed for a day. Kept: files of a running process, names of another pattern, and the old
    # folder if the kill came before the new one took its name.
    pattern = re.compile(rf"\.{re.escape(path.name)}\.(\d{{1,9}})@([0-9a-f]{{8}})\.(\w+\.)?(part|old)")
    with suppress(OSError):
        for file in list(path.parent.iterdir()):
            match = pattern.fullmatch(file.name)
            if match is None or (match[4] == "old" and not path.exists()):
                continue
            abandoned = not _is_running(int(match[1])) if match[2] == _host() else _age(file) > DAY
            if abandoned and file.is_dir():
                shutil.rmtree(file, ignore_errors=True)
            elif abandoned:
                file.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    """Whether a process of this host runs."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        # It belongs to another user.
        return True
    return True


def _age(path: Path) -> float:
    """Seconds since a file, or anything in a folder, was last written."""
    return time.time() - max(file.stat().st_mtime for file in [path, *path.rglob("*")])


def _flush(file: Path) -> None:
    """Wait until a file is on the disk: some disks report only now that they are full."""
    with file.open("rb") as opened:
        os.fsync(opened.fileno())


@contextmanager
def publish_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success the file is flushed and renamed, else it is removed."""
    temporary = Path(f"{_own_prefix(path)}part")
    try:
        with _naming(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            _clear(path)
            yield temporary
            if is_main_process():
                _flush(temporary)
                temporary.replace(path)
    finally:
        # On a disk that has become read-only, even removing a missing file fails.
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def publish_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path`; on success it is flushed and replaces `path`, else it is removed.

    If `path` is a link to a folder, the folder it points to is replaced.
    """
    path = path.resolve() if path.is_symlink() else path
    with _naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear(path)
        temporary = Path(tempfile.mkdtemp(prefix=Path(_own_prefix(path)).name, suffix=".part", dir=path.parent))
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
    """Replace a folder by another; if that fails, the old one stays."""
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
