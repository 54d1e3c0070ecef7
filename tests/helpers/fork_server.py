"""Python that has the libraries imported: programs run in forks of one process instead of importing torch again.

`start(folder)` makes folder/bin, to be put first in a PATH or to be a project's `.venv/bin`. Its `python`, `dvc` and
`l2a` pass their command line, working directory, environment and standard streams to the server through a Unix socket
(`fork_client.py`), and exit as the fork does. The project's own modules are not imported before the fork, so that each
program uses those of its own working directory.
"""

import atexit
import gc
import json
import os
import runpy
import select
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

CLIENT = Path(__file__).with_name("fork_client.py")
PROGRAMS = ("python", "dvc", "l2a")
LIBRARIES = """
accelerate accelerate.utils datasets dvclive huggingface_hub jinja2 markupsafe numpy onnx onnxruntime
onnxruntime.quantization packaging.requirements pandas peft platformdirs pyarrow pyarrow.compute pyarrow.csv
pyarrow.dataset pyarrow.parquet pydantic rich.console rich.padding rich.table safetensors.torch scipy.special
sklearn.metrics tokenizers torch torch.nn.functional torch.nn.utils.rnn torch.special tqdm typer
transformers.masking_utils transformers.modeling_outputs
"""
OF_TRANSFORMERS = """
AutoConfig AutoModel AutoModelForMaskedLM AutoModelForSequenceClassification AutoTokenizer BertConfig BertForMaskedLM
BertForSequenceClassification BertModel BertTokenizer PreTrainedModel PreTrainedTokenizerFast pipeline
"""
OF_DVC = """
dvc.cli dvc.cli.parser dvc.repo dvc.repo.reproduce dvc.repo.status dvc.repo.metrics.diff dvc.repo.experiments
dvc.repo.experiments.run dvc.repo.experiments.queue.workspace dvc.repo.experiments.executor.local dvc.stage.run
dvc.stage.cache dvc.parsing dvc.api dvc.render.convert
"""


@contextmanager
def start(folder: Path) -> Iterator[Path]:
    """Start a server for as long as the context lasts. Yields the folder of its programs."""
    programs = folder / "bin"
    programs.mkdir(parents=True)
    real = Path(sys.executable).parent
    for path in real.iterdir():
        (programs / path.name).symlink_to(path)
    address = folder / "socket"
    for name in PROGRAMS:
        (programs / name).unlink()
        script = "" if name == "python" else str(real / name)
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} -ISE {CLIENT} {address} {script} "$@"\n')
        (programs / name).chmod(0o755)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hub")}
    environment.pop("PYTHONPATH", None)
    words = [sys.executable, "-P", __file__, str(address)]
    # It listens as soon as the socket is there, and accepts once its imports are done.
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(address))
    listener.listen()
    with listener, subprocess.Popen([*words, str(listener.fileno())], env=environment, stdin=subprocess.PIPE,
                                    pass_fds=[listener.fileno()]) as server:  # fmt: skip
        try:
            yield programs
        finally:
            server.stdin.close()


def main() -> None:
    """Serve until standard input ends."""
    listener = socket.socket(fileno=int(sys.argv[2]))
    listener.set_inheritable(False)
    preload()
    gc.collect()
    # A fork would copy the pages of what it looks at for garbage.
    gc.freeze()
    library_path = sys.path[:]
    while listener in select.select([listener, sys.stdin], [], [])[0]:
        # Forks that have ended.
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        connection, _ = listener.accept()
        if not os.fork():
            listener.close()
            serve(connection, library_path)
        connection.close()
    os._exit(0)


def preload() -> None:
    """Import what the stages and DVC import, but none of the project's modules."""
    for name in [*LIBRARIES.split(), *OF_DVC.split()]:
        import_module(name)
    for name in OF_TRANSFORMERS.split():
        getattr(import_module("transformers"), name)
    from dvc.cli.parser import get_main_parser

    get_main_parser()


def serve(connection: socket.socket, library_path: list[str]) -> None:
    """Run one program in this fork, tell the client its exit code, and end."""
    size, streams, _, _ = socket.recv_fds(connection, 8, 3)
    with connection.makefile("rb") as file:
        request = json.loads(file.read(int.from_bytes(size)))
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    words = request["words"]
    sys.orig_argv = [sys.executable, *words]
    sys.path[:] = [*filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)), *library_path]
    code = exit_code(lambda: execute(words))
    with suppress(BaseException):
        threading._shutdown()
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    connection.sendall(str(code).encode())
    # Finalization of all that is loaded would take seconds.
    os._exit(code)


def execute(words: list[str]) -> None:
    """Do what `python WORDS` does: `-m MODULE …`, `-c CODE …`, `-` or `FILE …`."""
    kind, rest = words[0], words[1:]
    if kind == "-m":
        sys.path.insert(0, str(Path.cwd()))
        sys.argv = ["-m", *rest[1:]]
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif kind in ("-c", "-"):
        sys.path.insert(0, "")
        sys.argv = [kind, *(rest[1:] if kind == "-c" else rest)]
        code = rest[0] if kind == "-c" else sys.stdin.read()
        main = sys.modules["__main__"] = type(sys)("__main__")
        exec(compile(code, "<string>" if kind == "-c" else "<stdin>", "exec"), main.__dict__)
    else:
        sys.path.insert(0, str(Path(kind).parent))
        sys.argv = words
        runpy.run_path(kind, run_name="__main__")


def exit_code(work: Callable[[], Any]) -> int:
    """Do the work and return what an interpreter would exit with; an exception is printed as it would print it."""
    try:
        work()
    except SystemExit as stop:
        if stop.code is None or isinstance(stop.code, int):
            return (stop.code or 0) & 0xFF
        print(stop.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    main()
