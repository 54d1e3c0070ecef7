"""nlpaug in an environment of its own, for it works with transformers before 5 only; it shares torch with ours."""

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from platformdirs import user_cache_path

from pipeline.errors import InputError

WORKER = Path(__file__).with_name("nlpaug_worker.py")
WANTED = ("nlpaug==1.1.11", "transformers>=4.50,<5")


def environment() -> Path:
    """The Python of nlpaug's environment, which is made if it is not there (a minute)."""
    folder = user_cache_path("l2a-peers") / "nlpaug"
    python = folder / "bin" / "python"
    done = folder / "done"
    if not done.is_file():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        # Behind its own packages stand ours: torch is a gigabyte.
        behind = folder / "lib" / version / "site-packages" / "behind.pth"
        behind.write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
        # It says on the way that ours want another transformers, which they find in their own environment.
        asked = subprocess.run([str(python), "-m", "pip", "install", *WANTED], capture_output=True, text=True)
        if asked.returncode:
            raise InputError(f"nlpaug: it cannot be installed ({asked.stderr.strip().splitlines()[-1]})")
        done.touch()
    return python


class Nlpaug:
    """A process of nlpaug that replaces words of the same texts again and again when it is told to."""

    def __init__(self, model: Path, texts: Sequence[str], words: int) -> None:
        self.process = subprocess.Popen(
            [str(environment()), "-P", str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"TRANSFORMERS_VERBOSITY": "error"},
        )
        self._ask({"model": str(model), "texts": list(texts), "words": words})

    def _ask(self, question: object) -> float:
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("nlpaug: no pipes")
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("seconds "):
                return float(line.split()[1])
        raise RuntimeError("nlpaug: it ended before it answered")

    def seconds(self) -> float:
        """What it takes nlpaug to go through the texts once."""
        return self._ask("again")

    def __enter__(self) -> "Nlpaug":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
