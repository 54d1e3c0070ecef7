"""The work cache: finished pieces of a stage, kept outside its outs, from which a killed stage resumes.

DVC deletes a stage's outs before it runs. Finished pieces are therefore kept in the user's cache folder, under the
fingerprint of all they depend on, and are linked into the outs when all of them are finished.
"""

import errno
import logging
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from platformdirs import user_cache_path

from pipeline.errors import InputError
from pipeline.storage.atomic import publish_file
from pipeline.storage.fingerprint import file_hash

logger = logging.getLogger(__name__)


def root() -> Path:
    """The folder of the work cache; `XDG_CACHE_HOME` moves it."""
    return user_cache_path("l2a")


def sizes() -> dict[str, tuple[int, int]]:
    """By subfolder, the number of folders (one a fingerprint) and the bytes, those that outs link to included."""
    found = {}
    for subfolder in sorted(root().iterdir()) if root().is_dir() else ():
        files = {}
        for path in subfolder.rglob("*"):
            # A running stage renames its files.
            with suppress(FileNotFoundError):
                status = path.stat()
                if stat.S_ISREG(status.st_mode):
                    files[path] = status.st_size
        found[subfolder.name] = (len({path.parent for path in files}), sum(files.values()))
    return found


def work_folder(stage: str, name: str) -> Path:
    """The folder for a stage's pieces under a fingerprint, created if needed.

    Raises InputError if it cannot be written: before the work, not after its first piece.
    """
    folder = root() / stage / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise InputError(
            f"{folder}: the work cache cannot be written ({error.strerror}); "
            "accepted: XDG_CACHE_HOME set to a writable folder"
        ) from error
    logger.info("%s: finished work is kept in %s", stage, folder)
    return folder


def _checksum_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.blake2b")


def _checksum_line(path: Path, content: Path) -> str:
    """The content's hash and the piece's name, so that the checksum does not fit another piece."""
    return f"{file_hash(content)}  {path.parent.name}/{path.name}\n"


def is_finished(path: Path) -> bool:
    """Whether a piece exists with the content that was written under its name."""
    try:
        expected, actual = _checksum_file(path).read_bytes(), _checksum_line(path, path).encode()
    except OSError:
        return False
    if expected != actual:
        logger.warning("%s: damaged; computed again", path)
    return expected == actual


@contextmanager
def write_piece(path: Path) -> Iterator[Path]:
    """Yield a temporary path for a piece; on success it is renamed and its checksum is written beside it.

    Raises InputError if the work cache is removed in the meantime.
    """
    try:
        with publish_file(path) as temporary:
            yield temporary
            checksum = _checksum_line(path, temporary)
        with publish_file(_checksum_file(path)) as temporary:
            temporary.write_text(checksum, encoding="utf-8")
    except FileNotFoundError as error:
        if error.filename not in (str(path), str(_checksum_file(path))):
            raise
        raise _removed(path) from error


def link_or_copy(piece: Path, out: Path) -> None:
    """Put a finished piece into an out: as a hard link if the file system allows it, else as a copy."""
    try:
        os.link(piece, out)
    except OSError:
        try:
            shutil.copyfile(piece, out)
        except FileNotFoundError as error:
            raise _removed(piece) from error
        except OSError as error:
            # The error names the piece, which can be read, not the out.
            raise OSError(error.errno, error.strerror, str(out)) from error


def _removed(piece: Path) -> InputError:
    return InputError(f"{piece}: removed from the work cache while it was in use; run the stage again")
