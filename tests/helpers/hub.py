"""A Hugging Face hub on 127.0.0.1, the only one that tests know, as far as huggingface_hub and datasets ask it.

The libraries read where the hub and their cache are when they are imported. So this module is imported before them, and
reserves a port, on which nothing listens unless a test takes the fixture `hub`.
"""

import atexit
import hashlib
import itertools
import os
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from helpers.hub_answers import Server

assert not {"huggingface_hub", "datasets", "transformers"} & sys.modules.keys(), "these read where the hub is too early"

HOME = Path(tempfile.mkdtemp(prefix="hub-"))
for name in [name for name in os.environ if name.startswith(("HF_", "HUGGING")) or name == "TRANSFORMERS_OFFLINE"]:
    del os.environ[name]
_RESERVED = socket.socket()
_RESERVED.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
_RESERVED.bind(("127.0.0.1", 0))
PORT = _RESERVED.getsockname()[1]
os.environ |= {"HF_ENDPOINT": f"http://127.0.0.1:{PORT}", "HF_HOME": str(HOME), "NO_PROXY": "127.0.0.1,localhost"}
_COMMITS = itertools.count()


@atexit.register
def _remove_home(process: int = os.getpid()) -> None:
    if os.getpid() == process:
        shutil.rmtree(HOME, ignore_errors=True)


@dataclass
class Repository:
    """A model or dataset: branches and tags, and the files of each commit."""

    refs: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refusal: int | None = None
    """Of a gated one: 401 without a token, 403 with one that was not granted access."""


@dataclass
class Fault:
    """What happens instead of an answer."""

    request: str
    """Regular expression, found in `METHOD path` or `METHOD path bytes=N-`."""
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    """Bytes of the body, after which the connection ends."""
    reset: bool = False
    """Whether the connection ends with a reset."""
    seconds: float = 0
    """Waited for before the answer."""
    times: int = 10**6


class Hub:
    """Models and datasets by kind and id, faults that are to happen, and the requests so far."""

    TOKEN = "hf_granted"
    """The one token that opens what is gated."""

    def __init__(self) -> None:
        """Serve nothing."""
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.renamed: dict[str, str] = {}
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.tokens: list[tuple[str, str]] = []
        """Address and authorization of each request that had one."""
        self._server: Server | None = None

    def publish(
        self, name: str, files: Path | Mapping[str, bytes], *, kind: str = "model", refs: tuple[str, ...] = ("main",)
    ) -> str:
        """Add a commit, which branches and tags point to from now on. Returns its hash."""
        if isinstance(files, Path):
            found = sorted(path for path in files.rglob("*") if path.is_file())
            files = {path.relative_to(files).as_posix(): path.read_bytes() for path in found}
        # The libraries remember what they know of a commit, and there is none of the same hash in another test.
        commit = hashlib.sha1(str(next(_COMMITS)).encode()).hexdigest()
        repository = self.repositories.setdefault((kind, name), Repository())
        repository.commits[commit] = dict(files)
        repository.refs |= dict.fromkeys(refs, commit)
        return commit

    def fail(self, request: str, **fault: object) -> None:
        """Let requests fail from now on: `hub.fail("GET /api", status=503, times=2)`."""
        self.faults.append(Fault(request, **fault))

    def start(self) -> None:
        """Answer requests from now on."""
        self._server = Server(PORT, self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def stop(self) -> None:
        """Refuse connections from now on."""
        if self._server is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = None

    @staticmethod
    def forget() -> None:
        """Forget what this process has asked, as a new process would."""
        from pipeline.addresses import hub, snapshot, waiting

        hub.ask.cache_clear()
        snapshot._fetch.cache_clear()
        waiting.waits.clear()

    @staticmethod
    def empty_cache() -> None:
        """Remove all that was downloaded."""
        for folder in ("hub", "datasets"):
            shutil.rmtree(HOME / folder, ignore_errors=True)
