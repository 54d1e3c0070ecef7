"""nlpaug in an environment of its own, because it needs transformers before 5; torch is shared with the project's."""

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from platformdirs import user_cache_path

from pipeline.errors import InputError

WORKER = Path(__file__).with_name("nlpaug_worker.py")
REQUIREMENTS = ("nlpaug==1.1.11", "transformers>=4.50,<5")


def environment() -> Path:
    """The Python of nlpaug's environment, which is created if it does not exist (about a minute)."""
    folder = user_cache_path("l2a-peers") / "nlpaug"
    python = folder / "bin" / "python"
    done = folder / "done"
    if not done.is_file():
        _run(sys.executable, "-m", "venv", "--clear", str(folder))
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        # The project's packages come after its own on the path, so that torch, a gigabyte, is shared.
        path_file = folder / "lib" / version / "site-packages" / "project.pth"
        path_file.write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
        _run(str(python), "-m", "pip", "install", *REQUIREMENTS)
        done.touch()
    return python


def _run(*command: str) -> None:
    """Run a command quietly: pip warns that the project's packages need another version of transformers."""
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode:
        message = (process.stderr or process.stdout).strip().splitlines()[-1:]
        raise InputError(f"nlpaug: its environment cannot be created ({' '.join(message)})")


class Nlpaug:
    """A process of nlpaug that replaces words of the same texts each time it is asked to."""

    def __init__(self, model: Path, texts: Sequence[str], words: int) -> None:
        self.process = subprocess.Popen(
            [str(environment()), "-P", str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"TRANSFORMERS_VERBOSITY": "error"},
        )
        self._request({"model": str(model), "texts": list(texts), "words": words})

    def _request(self, request: object) -> float:
        stdin, stdout = self.process.stdin, self.process.stdout
        if stdin is not None and stdout is not None:
            with suppress(BrokenPipeError):
                stdin.write(json.dumps(request) + "\n")
                stdin.flush()
            for line in stdout:
                if line.startswith("seconds "):
                    return float(line.split()[1])
        raise InputError("nlpaug: its process ended before it answered; its output is above")

    def seconds(self) -> float:
        """Seconds that nlpaug takes for one pass over the texts."""
        return self._request("again")

    def __enter__(self) -> "Nlpaug":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.communicate()
