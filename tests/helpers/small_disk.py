"""A disk of a few megabytes that a test may fill or lock, and stages that run beside it.

`unshare` gives a process a tmpfs of its own, for which nobody has to be root. It loads the project once, and every
stage runs in a fork of it. What lies on the disk is seen from here through /proc.
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
class Done:
    """What a process ended with, and what it said."""

    code: int
    out: str
    err: str


class SmallDisk:
    """The disk and the process that sees it. Raises OSError if this machine refuses one of them."""

    def __init__(self, scratch: Path) -> None:
        self.folder = scratch / "disk"
        """Its name for stages."""
        self.folder.mkdir()
        self._said = scratch / "said"
        mount = 'mount -t tmpfs -o size=8m none "$0" && exec "$@"'
        words = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, self.folder]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        with self._said.open("w") as said:
            self._process = subprocess.Popen(
                [*words, sys.executable, __file__],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )
        self.seen = Path(f"/proc/{self._process.pid}/root{self.folder}")
        """Its name for tests."""
        try:
            if not self._answer():
                raise OSError(" ".join(self._said.read_text().split()))
            # Whoever may not look there finds that out now.
            os.statvfs(self.seen)
        except OSError:
            self.close()
            raise

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def python(self, code: str, at: Path | None = None, **environment: object) -> Done:
        """Run code in a folder, in a process of its own."""
        texts = {name: str(value) for name, value in environment.items()}
        job = {"code": code, "at": str(at or self.folder), "environment": texts, "said": str(self._said)}
        assert self._process.stdin is not None
        self._process.stdin.write(f"{json.dumps(job)}\n")
        self._process.stdin.flush()
        code_, out, err = int(self._answer()), Path(f"{self._said}.out"), Path(f"{self._said}.err")
        return Done(code_, out.read_text(), err.read_text())

    def stage(self, name: str, *options: object, at: Path, first: str = "", **environment: object) -> Done:
        """Run a stage; `first` is code to go before it."""
        code = f"{first}\nfrom stages.{name} import app\napp({[str(option) for option in options]})"
        return self.python(code, at, **environment)

    def leave(self, pages: int) -> None:
        """Fill it, but for so many pages."""
        self.free()
        with self._filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, (os.statvfs(self.seen).f_bavail - pages) * PAGE)

    def free(self) -> None:
        """Make space."""
        self._filler.unlink(missing_ok=True)

    @property
    def _filler(self) -> Path:
        return self.seen / ".filler"

    def contents(self) -> dict[str, bytes]:
        """All files on it but for what fills it."""
        files = [path for path in self.seen.rglob("*") if path.is_file() and path != self._filler]
        return {path.relative_to(self.seen).as_posix(): path.read_bytes() for path in files}

    def lock(self, locked: bool) -> None:
        """Let nobody write, root included."""
        done = self.python(remounted(self.folder, locked))
        assert done.code == 0, done.err

    def clear(self) -> None:
        """Remove all that is on it."""
        if os.statvfs(self.seen).f_flag & os.ST_RDONLY:
            self.lock(False)
        for path in self.seen.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def close(self) -> None:
        """End the process, and the disk with it."""
        self._process.communicate()


def remounted(folder: Path, locked: bool) -> str:
    """Code that lets nobody write, or everybody again."""
    words = ["mount", "-o", f"remount,{'ro' if locked else 'rw'}", str(folder)]
    return f"import subprocess\nsubprocess.run({words}, check=True)\n"


def main() -> None:
    """Load the project, then do what each line says and answer with the exit code.

    It ends at once, and so do its forks: to take down all that is loaded would take seconds.
    """
    for file in sorted((ROOT / "pipeline").rglob("*.py")):
        if file.stem != "__init__":
            import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
    from transformers import BertForMaskedLM, BertForSequenceClassification, BertModel, BertTokenizer

    # They are imported when they are asked for.
    assert all((BertForMaskedLM, BertForSequenceClassification, BertModel, BertTokenizer))
    # A fork would copy what is looked at for garbage.
    gc.freeze()
    print("ready", flush=True)
    for line in iter(sys.stdin.readline, ""):
        print(_forked(**json.loads(line)), flush=True)
    os._exit(0)


def _forked(code: str, at: str, environment: dict[str, str], said: str) -> int:
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{said}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.chdir(at)
    os.environ.update(environment)
    names: dict[str, Any] = {"__name__": "__main__"}
    ended: str | int | None = 0
    try:
        exec(code, names)
    except SystemExit as stop:
        ended = stop.code
    except BaseException:
        traceback.print_exc()
        ended = 1
    sys.stdout.flush()
    os._exit(ended if isinstance(ended, int) else 0)


if __name__ == "__main__":
    main()
