"""A disk of a few megabytes that a test may fill or lock, and stages that run beside it.

`unshare` gives a process a tmpfs of its own, which needs no root. The process imports the project once, and every stage
runs in a fork of it. Tests see the files of the disk through /proc.
"""

import gc
import json
import os
import shutil
import subprocess
import sys
import traceback
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGE = 4096
"""Bytes: a tmpfs gives a file whole pages."""


@dataclass(frozen=True)
class Completed:
    """The exit code and the output of a process."""

    code: int
    out: str
    err: str


class SmallDisk:
    """The disk and the process in which it is mounted. Raises OSError if this machine does not allow that."""

    def __init__(self, scratch: Path) -> None:
        self.folder = scratch / "disk"
        """Its path for stages."""
        self.folder.mkdir()
        self._output = scratch / "output"
        mount = 'mount -t tmpfs -o size=8m none "$0" && exec "$@"'
        words = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, self.folder]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        with self._output.open("w") as errors:
            self._process = subprocess.Popen(
                [*words, sys.executable, __file__],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self.host_folder = Path(f"/proc/{self._process.pid}/root{self.folder}")
        """Its path for tests."""
        try:
            if not self._answer():
                raise OSError(" ".join(self._output.read_text().split()))
            # Raises PermissionError here if /proc does not show it.
            os.statvfs(self.host_folder)
        except OSError:
            self.close()
            raise

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def python(self, code: str, cwd: Path | None = None, **environment: object) -> Completed:
        """Run code in a folder, in a process of its own."""
        texts = {name: str(value) for name, value in environment.items()}
        job = {"code": code, "cwd": str(cwd or self.folder), "environment": texts, "output": str(self._output)}
        assert self._process.stdin is not None
        self._process.stdin.write(f"{json.dumps(job)}\n")
        self._process.stdin.flush()
        exit_code, out, err = int(self._answer()), Path(f"{self._output}.out"), Path(f"{self._output}.err")
        return Completed(exit_code, out.read_text(), err.read_text())

    def stage(self, name: str, *options: object, cwd: Path, setup: str = "", **environment: object) -> Completed:
        """Run a stage; `setup` is code to run before it."""
        code = f"{setup}\nfrom stages.{name} import app\napp({[str(option) for option in options]})"
        return self.python(code, cwd, **environment)

    def fill(self, free_pages: int) -> None:
        """Fill it up to this many pages."""
        self.free()
        with self._filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, (os.statvfs(self.host_folder).f_bavail - free_pages) * PAGE)

    def free(self) -> None:
        """Remove what fills it."""
        self._filler.unlink(missing_ok=True)

    @property
    def _filler(self) -> Path:
        return self.host_folder / ".filler"

    def contents(self) -> dict[str, bytes]:
        """All files on it except the one that fills it."""
        files = [path for path in self.host_folder.rglob("*") if path.is_file() and path != self._filler]
        return {path.relative_to(self.host_folder).as_posix(): path.read_bytes() for path in files}

    def lock(self, locked: bool) -> None:
        """Make it read-only, for root too, or writable again."""
        process = self.python(remount(self.folder, locked))
        assert process.code == 0, process.err

    def clear(self) -> None:
        """Remove every file, and make it writable."""
        if os.statvfs(self.host_folder).f_flag & os.ST_RDONLY:
            self.lock(False)
        for path in self.host_folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def close(self) -> None:
        """End the process, which unmounts the disk."""
        self._process.communicate()


def remount(folder: Path, locked: bool) -> str:
    """Code that makes a disk read-only, or writable again."""
    words = ["mount", "-o", f"remount,{'ro' if locked else 'rw'}", str(folder)]
    return f"import subprocess\nsubprocess.run({words}, check=True)\n"


def main() -> None:
    """Import the project, then run the job of each line and answer with its exit code.

    It ends by os._exit, and so do its forks: finalization of all that is imported would take seconds.
    """
    for file in sorted((ROOT / "pipeline").rglob("*.py")):
        if file.stem != "__init__":
            import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
    from transformers import BertForMaskedLM, BertForSequenceClassification, BertModel, BertTokenizer

    # transformers imports them on first access.
    assert all((BertForMaskedLM, BertForSequenceClassification, BertModel, BertTokenizer))
    # A fork would copy the pages of what it looks at for garbage.
    gc.freeze()
    print("ready", flush=True)
    for line in iter(sys.stdin.readline, ""):
        print(_run(**json.loads(line)), flush=True)
    os._exit(0)


def _run(code: str, cwd: str, environment: dict[str, str], output: str) -> int:
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{output}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.chdir(cwd)
    os.environ.update(environment)
    names: dict[str, Any] = {"__name__": "__main__"}
    exit_code: str | int | None = 0
    try:
        exec(code, names)
    except SystemExit as stop:
        exit_code = stop.code
    except BaseException:
        traceback.print_exc()
        exit_code = 1
    sys.stdout.flush()
    os._exit(exit_code if isinstance(exit_code, int) else 0)


if __name__ == "__main__":
    main()
