"""nlpaug in an environment of its own, for it works with transformers before 5 only; it shares torch with ours."""

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
WANTED = ("nlpaug==1.1.11", "transformers>=4.50,<5")


def environment() -> Path:
    """The Python of nlpaug's environment, which is made if it is not there (a minute)."""
    folder = user_cache_path("l2a-peers") / "nlpaug"
    python = folder / "bin" / "python"
    done = folder / "done"
    if not done.is_file():
        _run(sys.executable, "-m", "venv", "--clear", str(folder))
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        # Behind its own packages stand ours: torch is a gigabyte.
        behind = folder / "lib" / version / "site-packages" / "behind.pth"
        behind.write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
        _run(str(python), "-m", "pip", "install", *WANTED)
        done.touch()
    return python


def _run(*command: str) -> None:
    """Run a command quietly: pip complains that our packages, which stand behind, want another transformers."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise InputError(f"nlpaug: its environment cannot be made ({' '.join(said)})")


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
        asked, said = self.process.stdin, self.process.stdout
        if asked is not None and said is not None:
            with suppress(BrokenPipeError):
                asked.write(json.dumps(question) + "\n")
                asked.flush()
            for line in said:
                if line.startswith("seconds "):
                    return float(line.split()[1])
        raise InputError("nlpaug: its process ended before it answered; what it said stands above")

    def seconds(self) -> float:
        """What it takes nlpaug to go through the texts once."""
        return self._ask("again")

    def __enter__(self) -> "Nlpaug":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.communicate()
