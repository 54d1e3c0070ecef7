"""Where a run would be: packages, git, DVC, the work cache, device, threads and memory."""

import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement

from pipeline.storage import workcache

SHOWN = ("torch", "transformers", "datasets", "dvc", "pyarrow")
PATIENCE = 20.0
"""Seconds that git and DVC have to answer."""
PROC, GROUPS = Path("/proc"), Path("/sys/fs/cgroup")
LARGE = 20e9
"""Bytes of a work cache that is worth a word."""


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Args:
        mark: `wrong` would stop the run, `look` would not.
        advice: what to do about it.
    """

    mark: Literal["ok", "look", "wrong"]
    what: str
    found: str
    advice: str = ""


def packages() -> Finding:
    """Python and the packages, against what the project's own metadata ask for."""
    said = [f"python {platform.python_version()}"]
    try:
        wanted = [Requirement(line) for line in requires("l2a") or []]
        said.append(f"l2a {version('l2a')}")
    except PackageNotFoundError:
        return Finding("wrong", "packages", "l2a is not installed", "make test sets .venv up; or pip install -e .")
    missing, other = [], []
    for requirement in wanted:
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            missing.append(requirement.name)
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            other.append(f"{requirement.name} {found}, not {requirement.specifier}")
        if requirement.name in SHOWN:
            said.append(f"{requirement.name} {found}")
    if missing:
        return Finding("wrong", "packages", f"missing: {', '.join(missing)}", "pip install -c constraints.txt -e .")
    if other:
        return Finding("look", "packages", "; ".join(other), "pip install -c constraints.txt -e .")
    return Finding("ok", "packages", ", ".join(said))


def _run(*words: str) -> tuple[int, str]:
    """Exit code and what a command printed; 127 if it is not there, 124 if it takes too long."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=PATIENCE)
    except FileNotFoundError:
        return 127, f"{words[0]} is not installed"
    except subprocess.TimeoutExpired:
        return 124, f"{words[0]} does not answer"
    return done.returncode, (done.stdout + done.stderr).strip()


def git() -> Finding:
    """Whether all is committed."""
    code, said = _run("git", "status", "--porcelain")
    if code:
        return Finding("look", "git", said.partition("\n")[0], "git init, for dvc exp run compares commits")
    if said:
        return Finding("look", "git", f"{len(said.splitlines()):,} files changed or new", "commit what is to be kept")
    return Finding("ok", "git", "clean")


def dvc() -> Finding:
    """Whether DVC could run the project, and share what it makes."""
    if not Path("dvc.yaml").is_file():
        return Finding("wrong", "dvc", f"no dvc.yaml in {Path.cwd()}", "run it in the project's folder")
    code, said = _run(sys.executable, "-m", "dvc", "remote", "list")
    if code:
        reason = " ".join(said.split())[:160]
        return Finding("wrong", "dvc", reason, "dvc init, or mend what it names")
    lock = Path(".dvc/tmp/rwlock")
    try:
        json.loads((lock.read_text(encoding="utf-8") if lock.is_file() else "") or "{}")
    except ValueError:
        return Finding("wrong", "dvc", f"{lock} is corrupted", "remove that file")
    if not said:
        return Finding("look", "dvc", "a repository without a remote", "dvc remote add -d NAME URL, to share artifacts")
    remotes = ", ".join(line.split()[0] for line in said.splitlines())
    return Finding("ok", "dvc", f"a repository, remote {remotes}")


def work_cache() -> Finding:
    """What killed stages go on from: how much there is, and whether one may write there."""
    size = sum(each for _, each in workcache.sizes().values())
    place = standing(workcache.root())
    said = f"{shown_bytes(size)} in {workcache.root()}"
    if not os.access(place, os.W_OK | os.X_OK):
        return Finding(
            "wrong", "work cache", f"no leave to write in {place}", "set XDG_CACHE_HOME to a folder of yours"
        )
    if size > LARGE:
        return Finding("look", "work cache", said, "l2a work_cache --clear, if no run is to go on")
    return Finding("ok", "work cache", said)


def device() -> Finding:
    """Where models would run, and in which number format."""
    import torch

    from pipeline.compute import distributed
    from pipeline.compute.precision import precision

    place = distributed.device()
    with precision(place):
        number = "bfloat16" if torch.is_autocast_enabled(place.type) else "float32"
    if place.type == "cuda":
        return Finding("ok", "device", f"{torch.cuda.get_device_name(place)}, {number}")
    if place.type == "cpu" and Path("/dev/nvidia0").exists():
        advice = "install a torch for CUDA: pytorch.org/get-started"
        return Finding("look", "device", f"CPU, {number}, though there is a GPU that torch cannot use", advice)
    return Finding("ok", "device", f"{place.type.upper()}, {number}")


def threads() -> Finding:
    """How many threads torch would take of the cores that this process may use."""
    import torch

    taken = torch.get_num_threads()
    cores: float = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [limit.split() for _, limit in _limits("cpu.max")]
    allowed = min((int(quota) / int(period) for quota, period in quotas), default=math.inf)
    if allowed < cores:
        said, fit = f"{taken} on {allowed:g} cores, the container's limit", max(1, int(allowed))
        if taken > fit:
            return Finding("look", "threads", said, f"OMP_NUM_THREADS={fit}, for more hold each other up")
        cores = fit
    else:
        said = f"{taken} on {cores} cores"
    if taken == 1 < cores:
        return Finding("look", "threads", said, "unset OMP_NUM_THREADS, if nothing else is to run here")
    return Finding("ok", "threads", said)


def free_memory() -> tuple[float, str]:
    """Bytes that a model could take, and whose limit that is if it is not the machine's.

    Of the GPU if there is one, else what the system can give away or, if that is less, the container.
    """
    import torch

    if torch.cuda.is_available():
        return float(torch.cuda.mem_get_info()[0]), ""
    free = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    facts = PROC / "meminfo"
    if facts.is_file():
        lines = dict(line.split(":", 1) for line in facts.read_text(encoding="ascii").splitlines())
        free = float(lines["MemAvailable"].split()[0]) * 1024
    allowed = min((int(limit) - _held(group) for group, limit in _limits("memory.max")), default=math.inf)
    return (max(allowed, 0.0), "the container's limit") if allowed < free else (free, "")


def _limits(name: str) -> Iterator[tuple[Path, str]]:
    """Limits that are set for this process (cgroup v2), each with its group: its own and all above it count."""
    own = PROC / "self/cgroup"
    lines = own.read_text(encoding="utf-8").splitlines() if own.is_file() else []
    for line in lines:
        if line.startswith("0::/"):
            names = line.removeprefix("0::/").split("/")
            # A container may be told of a group that only its host sees; its own limits are then those at the top.
            for group in [GROUPS.joinpath(*names[:n]) for n in range(len(names) + 1)]:
                limit = (group / name).read_text(encoding="ascii").strip() if (group / name).is_file() else "max"
                if not limit.startswith("max"):
                    yield group, limit


def _held(group: Path) -> int:
    """Bytes that a group cannot give away: without the files that it has read and could read again."""
    # A sandboxed kernel may tell less than Linux does.
    current, stat = group / "memory.current", group / "memory.stat"
    facts = dict(line.split() for line in stat.read_text(encoding="ascii").splitlines()) if stat.is_file() else {}
    return int(current.read_text(encoding="ascii") if current.is_file() else 0) - int(facts.get("inactive_file", 0))


def standing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    return path if path.exists() else standing(path.parent)


def shown_bytes(size: float) -> str:
    """Bytes as a person reads them."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"
