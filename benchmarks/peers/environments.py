"""The environments of the peers: each is made from a file of pinned requirements, once, and kept."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import InputError

REQUIREMENTS = Path(__file__).parent / "requirements"
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
}
"""Weights come from installed packages, so that nothing has to be fetched while a peer runs."""
THREADS = "2"
"""Threads of a peer, unless OMP_NUM_THREADS says otherwise."""


def python_of(requirements: str, place: Path) -> Path:
    """The Python of the environment for a requirements file, made if there is none or the file has changed.

    torch is installed first and alone: named with its exact version, pip takes the build that fits the machine.

    Args:
        place: the folder of all environments.

    Raises InputError with pip's last line if the environment cannot be made.
    """
    file, folder = REQUIREMENTS / f"{requirements}.txt", place / requirements
    python, installed = folder / "bin" / "python", folder / "installed.txt"
    wanted = file.read_text(encoding="utf-8")
    if installed.is_file() and installed.read_text(encoding="utf-8") == wanted:
        return python
    _run([sys.executable, "-m", "venv", "--clear", str(folder)], requirements)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for line in wanted.splitlines():
        if line.startswith("torch=="):
            _run([*pip, line], requirements)
    _run([*pip, "--requirement", str(file)], requirements)
    installed.write_text(wanted, encoding="utf-8")
    return python


def _run(command: Sequence[str], requirements: str) -> None:
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode:
        last = (process.stderr or process.stdout).strip().splitlines()[-1:]
        raise InputError(f"{requirements}.txt: its environment cannot be made ({' '.join(last)})")


def run_script(python: Path, script: str, arguments: Sequence[str], root: Path, hub: Path) -> str | None:
    """Run a peer's script in its environment; its output is shown.

    Args:
        root: the project's folder, from which the script is found.
        hub: folder that the libraries may use for their caches.

    Returns the exit code and the last line of its errors if it fails.
    """
    own = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    variables = {"OMP_NUM_THREADS": THREADS, **own, **OFFLINE, "HF_HOME": str(hub)}
    command = [str(python), "-m", f"benchmarks.peers.{script}", *arguments]
    process = subprocess.run(command, cwd=root, env=variables, stderr=subprocess.PIPE, text=True, check=False)
    if not process.returncode:
        return None
    print(process.stderr, file=sys.stderr)
    last = process.stderr.strip().splitlines()[-1:]
    return f"exit code {process.returncode}: {' '.join(last)}"
