"""Checks of the environment of a run: packages, git, DVC, the work cache, device, threads and memory."""

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

REPORTED = ("torch", "transformers", "datasets", "dvc", "pyarrow")
PATIENCE = 20.0
"""Timeout of git and DVC, in seconds."""
PROC, GROUPS = Path("/proc"), Path("/sys/fs/cgroup")
LARGE = 20e9
"""Bytes of a work cache above which clearing it is suggested."""


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Args:
        mark: `wrong` would stop the run, `look` may be a problem and would not stop it.
        what: what was checked.
        advice: what to do about it.
    """

    mark: Literal["ok", "look", "wrong"]
    what: str
    found: str
    advice: str = ""


def packages() -> Finding:
    """Python and the packages, compared with the project's requirements."""
    versions = [f"python {platform.python_version()}"]
    try:
        requirements = [Requirement(line) for line in requires("l2a") or []]
        versions.append(f"l2a {version('l2a')}")
    except PackageNotFoundError:
        return Finding("wrong", "packages", "l2a is not installed", "make test creates .venv; or pip install -e .")
    missing, other = [], []
    for requirement in requirements:
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            missing.append(requirement.name)
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            other.append(f"{requirement.name} {found}, not {requirement.specifier}")
        if requirement.name in REPORTED:
            versions.append(f"{requirement.name} {found}")
    if missing:
        return Finding("wrong", "packages", f"missing: {', '.join(missing)}", "pip install -c constraints.txt -e .")
    if other:
        return Finding("look", "packages", "; ".join(other), "pip install -c constraints.txt -e .")
    return Finding("ok", "packages", ", ".join(versions))


def _run(*words: str) -> tuple[int, str]:
    """Exit code and output of a command; 127 if it is not installed, 124 if it takes too long."""
    try:
        result = subprocess.run(words, capture_output=True, text=True, check=False, timeout=PATIENCE)
    except FileNotFoundError:
        return 127, f"{words[0]} is not installed"
    except subprocess.TimeoutExpired:
        return 124, f"{words[0]} does not answer"
    return result.returncode, (result.stdout + result.stderr).strip()


def git() -> Finding:
    """Whether everything is committed."""
    code, output = _run("git", "status", "--porcelain")
    if code:
        return Finding("look", "git", output.partition("\n")[0], "git init, because dvc exp run compares commits")
    if output:
        return Finding(
            "look", "git", f"{len(output.splitlines()):,} files changed or new", "commit what you want to keep"
        )
    return Finding("ok", "git", "clean")


def dvc() -> Finding:
    """Whether DVC can run the project and share its artifacts."""
    if not Path("dvc.yaml").is_file():
        return Finding("wrong", "dvc", f"no dvc.yaml in {Path.cwd()}", "run it in the project's folder")
    code, output = _run(sys.executable, "-m", "dvc", "remote", "list")
    if code:
        reason = " ".join(output.split())[:160]
        return Finding("wrong", "dvc", reason, "dvc init, or fix what it names")
    lock = Path(".dvc/tmp/rwlock")
    try:
        json.loads((lock.read_text(encoding="utf-8") if lock.is_file() else "") or "{}")
    except ValueError:
        return Finding("wrong", "dvc", f"{lock} is corrupted", "remove that file")
    if not output:
        return Finding("look", "dvc", "a repository without a remote", "dvc remote add -d NAME URL, to share artifacts")
    remotes = ", ".join(line.split()[0] for line in output.splitlines())
    return Finding("ok", "dvc", f"a repository, remote {remotes}")


def work_cache() -> Finding:
    """The cache from which killed stages resume: its size, and whether it can be written to."""
    total = sum(size for _, size in workcache.sizes().values())
    folder = nearest_existing(workcache.root())
    found = f"{format_bytes(total)} in {workcache.root()}"
    if not os.access(folder, os.W_OK | os.X_OK):
        advice = "set XDG_CACHE_HOME to a folder of yours"
        return Finding("wrong", "work cache", f"permission denied: cannot write in {folder}", advice)
    if total > LARGE:
        return Finding("look", "work cache", found, "l2a work_cache --clear, if no run needs to resume")
    return Finding("ok", "work cache", found)


def device() -> Finding:
    """The device on which models would run, and the number format."""
    import torch

    from pipeline.compute import distributed
    from pipeline.compute.precision import number_format

    device = distributed.device()
    number = number_format(device)
    if device.type == "cuda":
        return Finding("ok", "device", f"{torch.cuda.get_device_name(device)}, {number}")
    if device.type == "cpu" and Path("/dev/nvidia0").exists():
        advice = "install a torch for CUDA: pytorch.org/get-started"
        return Finding("look", "device", f"CPU, {number}, though there is a GPU that torch cannot use", advice)
    return Finding("ok", "device", f"{device.type.upper()}, {number}")


def threads() -> Finding:
    """How many threads torch uses, compared with the cores that this process may use."""
    import torch

    used = torch.get_num_threads()
    cores: float = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [limit.split() for _, limit in _limits("cpu.max")]
    allowed = min((int(quota) / int(period) for quota, period in quotas), default=math.inf)
    if allowed < cores:
        found, fit = f"{used} on {allowed:g} cores, the container's limit", max(1, int(allowed))
        if used > fit:
            return Finding(
                "look", "threads", found, f"OMP_NUM_THREADS={fit}, because more threads slow each other down"
            )
        cores = fit
    else:
        found = f"{used} on {cores} cores"
    if used == 1 < cores:
        return Finding("look", "threads", found, "unset OMP_NUM_THREADS, if nothing else runs here")
    return Finding("ok", "threads", found)


def free_memory() -> tuple[float, str]:
    """Bytes of memory that a model can use, and the name of the limit if it is not the machine's.

    The memory of the GPU if there is one, else what is available in the system or, if that is less, in the container.
    """
    import torch

    if torch.cuda.is_available():
        return float(torch.cuda.mem_get_info()[0]), ""
    free = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    meminfo = PROC / "meminfo"
    if meminfo.is_file():
        fields = dict(line.split(":", 1) for line in meminfo.read_text(encoding="ascii").splitlines())
        free = float(fields["MemAvailable"].split()[0]) * 1024
    allowed = min((int(limit) - _used(group) for group, limit in _limits("memory.max")), default=math.inf)
    return (max(allowed, 0.0), "the container's limit") if allowed < free else (free, "")


def _limits(name: str) -> Iterator[tuple[Path, str]]:
    """Limits set for this process (cgroup v2), each with its group: of its own group and of all groups above it."""
    cgroup = PROC / "self/cgroup"
    lines = cgroup.read_text(encoding="utf-8").splitlines() if cgroup.is_file() else []
    for line in lines:
        if line.startswith("0::/"):
            names = line.removeprefix("0::/").split("/")
            # A container may see the name of a group that exists only on its host; its limits are then at the top.
            for group in [GROUPS.joinpath(*names[:n]) for n in range(len(names) + 1)]:
                limit = (group / name).read_text(encoding="ascii").strip() if (group / name).is_file() else "max"
                if not limit.startswith("max"):
                    yield group, limit


def _used(group: Path) -> int:
    """Bytes that a group uses, without cached files, which can be dropped."""
    # A sandboxed kernel may have fewer of these files than Linux.
    current, stat = group / "memory.current", group / "memory.stat"
    fields = dict(line.split() for line in stat.read_text(encoding="ascii").splitlines()) if stat.is_file() else {}
    return int(current.read_text(encoding="ascii") if current.is_file() else 0) - int(fields.get("inactive_file", 0))


def nearest_existing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    return path if path.exists() else nearest_existing(path.parent)


def format_bytes(size: float) -> str:
    """Bytes in MB or GB."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"
