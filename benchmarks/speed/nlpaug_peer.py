"""nlpaug in an environment of its own, because it needs transformers before 5."""

import json
import os
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from benchmarks.peers.environments import python_of
from benchmarks.speed.default_run import ROOT
from pipeline.errors import InputError

WORKER = Path(__file__).with_name("nlpaug_worker.py")
ENVIRONMENTS = ROOT / ".peers" / "environments"


class Nlpaug:
    """A process of nlpaug that replaces words of the same texts each time it is asked to."""

    def __init__(self, model: Path, texts: Sequence[str], words: int) -> None:
        self.process = subprocess.Popen(
            [str(python_of("nlpaug", ENVIRONMENTS)), "-P", str(WORKER)],
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
