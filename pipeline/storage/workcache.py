"""The work cache: finished pieces of a stage, kept outside its outs, so that a killed stage goes on where it was.

DVC deletes a stage's outs before it runs. What a stage has finished therefore stands under the user's cache folder,
named by the fingerprint of all it depends on, and is linked into the outs when everything is there.
"""

import errno
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from platformdirs import user_cache_path

from pipeline.errors import InputError
from pipeline.storage.atomic import publish_file
from pipeline.storage.fingerprint import file_hash

logger = logging.getLogger(__name__)


def root() -> Path:
    """Where it stands; `XDG_CACHE_HOME` decides."""
    return user_cache_path("l2a")


def sizes() -> dict[str, tuple[int, int]]:
    """Of each stage, how many runs or inputs it keeps something of, and the bytes; what an out links to counts too."""
    found = {}
    for stage in sorted(root().iterdir()) if root().is_dir() else ():
        files = [path for path in stage.rglob("*") if path.is_file()]
        found[stage.name] = (len({path.parent for path in files}), sum(path.stat().st_size for path in files))
    return found


def work_folder(stage: str, name: str) -> Path:
    """The folder for a stage's pieces under a fingerprint; made if it is not there.

    Raises InputError if nothing can be written there: better before the work than after its first piece.
    """
    folder = root() / stage / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "no leave to write")
    except OSError as error:
        raise InputError(
            f"{folder}: the work cache cannot be written ({error.strerror}); "
            "accepted: XDG_CACHE_HOME set to a folder where one may write"
        ) from None
    return folder


def _checksum(path: Path) -> Path:
    return path.with_name(f"{path.name}.blake2b")


def _vouched(path: Path, content: Path) -> str:
    """What a checksum says: the hash of the content, and whose it is, so that it is of no use to another piece."""
    return f"{file_hash(content)}  {path.parent.name}/{path.name}\n"


def is_finished(path: Path) -> bool:
    """Whether a piece is there and its content is the one that was written under its name."""
    try:
        wanted, found = _checksum(path).read_bytes(), _vouched(path, path).encode()
    except OSError:
        return False
    if wanted != found:
        logger.warning("%s: damaged; made anew", path)
    return wanted == found


@contextmanager
def write_piece(path: Path) -> Iterator[Path]:
    """Give a temporary path for a piece; on success it takes its name and a checksum is left beside it.

    Raises InputError if the work cache is removed meanwhile.
    """
    try:
        with publish_file(path) as temporary:
            yield temporary
            checksum = _vouched(path, temporary)
        with publish_file(_checksum(path)) as temporary:
            temporary.write_text(checksum, encoding="utf-8")
    except FileNotFoundError as error:
        if error.filename not in (str(path), str(_checksum(path))):
            raise
        raise _removed(path) from None


def link_or_copy(piece: Path, out: Path) -> None:
    """Put a finished piece into an out: a hard link where the file system can, else a copy."""
    try:
        os.link(piece, out)
    except OSError:
        try:
            shutil.copyfile(piece, out)
        except FileNotFoundError:
            raise _removed(piece) from None
        except OSError as error:
            # It names the piece, which can be read.
            raise OSError(error.errno, error.strerror, str(out)) from error


def _removed(piece: Path) -> InputError:
    return InputError(f"{piece}: removed from the work cache while it was in use; run the stage again")
