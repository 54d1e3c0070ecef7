"""A pipeline that is killed again and again ends with the bytes of one that was not, and repeats almost no work.

`python -m pytest -m hours tests/end_to_end/test_crash.py -s` prints the repeated work of each stage.
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import psutil
import pytest
from helpers.tiny_project import Repo

COUNTED = Path(__file__).parents[1] / "helpers" / "counted.py"
KILLS = 50
MAX_REPEATED = 80
"""More steps than these models make between two checkpoints."""
LONGER = {
    "rounds": 2,
    "data": {"source": {"path": "data/raw/source.csv", "rows": 300}},
    "teacher": {"epochs": {"source": 3, "target": 2}},
    "generator": {"steps": 60, "text": {"path": "data/raw/source.csv"}, "batch_size": 16, "max_length": 24},
    "augment": {"samples": {"source": 2, "target": 20}, "shards": 4},
    "distill": {"epochs": 3},
    "evaluate": {"student_ft": {"epochs": 20, "batch_size": 4}},
}


@pytest.fixture
def counted(project: Callable[..., Repo], tmp_path: Path) -> Callable[[str], Repo]:
    """A project whose stages log their work in a journal, and which has its own work cache."""

    def make(name: str) -> Repo:
        repo = project(tmp_path / name / "project", **LONGER)
        journal = tmp_path / name / "journal"
        journal.mkdir()
        script = repo.folder / "stages" / "python"
        script.write_text(f'#!/bin/sh\nPYTHONPATH=. exec {sys.executable} {COUNTED} {journal} "$@"\n')
        return repo

    return make


def unlocked(repo: Repo) -> bool:
    """Whether DVC was killed while it wrote its lock file and cannot read it; the file is then removed."""
    lock = repo.folder / ".dvc" / "tmp" / "rwlock"
    try:
        json.loads(lock.read_text())
    except FileNotFoundError:
        return False
    except ValueError:
        lock.unlink()
        return True
    return False


def started(repo: Repo) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "dvc", "repro"],
        cwd=repo.folder,
        env=repo.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def timed(repo: Repo) -> dict[str, float]:
    """Run without kills. Returns the seconds of each stage."""
    seconds: dict[str, float] = {}
    running, since = "", 0.0
    with started(repo) as process:
        lines = process.stdout
        assert lines is not None
        for line in lines:
            if found := re.match(r"Running stage '([\w@]+)'", line):
                seconds[running] = time.monotonic() - since
                running, since = found[1], time.monotonic()
        seconds[running] = time.monotonic() - since
    assert process.returncode == 0
    del seconds[""]
    return seconds


def kill_in(repo: Repo, stages: list[str], after: float, units: int = 0) -> str:
    """Start, and kill everything `after` seconds into the first of these stages that runs; returns the stage killed.

    With units, the seconds count from when the stage has done so many units, or from the next stage's start.
    """
    running, first = "", ""
    known = set(journal(repo).iterdir())
    with started(repo) as process:
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        deadline = None
        while process.poll() is None and (deadline is None or time.monotonic() < deadline):
            for found in re.finditer(r"Running stage '([\w@]+)'", _read(process.stdout)):
                running = found[1]
                first = first or (running if running in stages else "")
            if (
                first
                and deadline is None
                and (running != first or units_done(set(journal(repo).iterdir()) - known) >= units)
            ):
                deadline = time.monotonic() + after
            time.sleep(0.01)
        if process.poll() is not None:
            return "none"
        for victim in [*psutil.Process(process.pid).children(recursive=True), process]:
            victim.send_signal(signal.SIGKILL)
    return running


def journal(repo: Repo) -> Path:
    """The folder in which the stages log their work."""
    return repo.folder.parent / "journal"


def units_done(files: Collection[Path]) -> int:
    """The number of steps, checkpoints and shards that the journal lists."""
    return sum(file.read_bytes().count(b"\n") for file in files)


def _read(lines: IO[str]) -> str:
    try:
        return lines.read() or ""
    except TypeError:
        # No new output.
        return ""


def outs(repo: Repo) -> dict[str, bytes]:
    """The pipeline's outputs by path, without speeds."""
    folders = ("data/prepared", "data/augmented", "data/teacher", "models", "metrics", "rounds", "dvclive", "plots")
    paths = [
        path
        for name in folders
        for path in (repo.folder / name).rglob("*")
        if path.is_file() and ".part" not in str(path)
    ]
    found = {
        str(path.relative_to(repo.folder)): path.read_bytes()
        for path in [*paths, repo.folder / "data/selection.parquet"]
    }
    # It holds seconds, and figures that follow from the models' bytes.
    del found["metrics/serving.json"]
    scores = json.loads(found.pop("metrics/evaluation.json"))
    for model in scores.values():
        del model["sentences_per_second"]
    return found | {"scores": json.dumps(scores).encode()}


def work(repo: Repo) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """By stage, over all its processes: steps, shards, and the steps after each process's last checkpoint."""
    steps, shards, unsaved = Counter[str](), Counter[str](), Counter[str]()
    for file in journal(repo).iterdir():
        stage, lines = file.name.rsplit("-", 1)[0], file.read_text().splitlines()
        steps[stage] += lines.count("step")
        shards[stage] += lines.count("shard")
        last = max((number for number, line in enumerate(lines) if line == "saved"), default=-1)
        unsaved[stage] += lines[last + 1 :].count("step")
    return steps, shards, unsaved


@pytest.mark.hours
@pytest.mark.timeout(7200)
def test_kills_cost_next_to_nothing(counted: Callable[[str], Repo]) -> None:
    peaceful, killed = counted("peaceful"), counted("killed")
    seconds = timed(peaceful)
    rng = random.Random(1)
    kills: Counter[str] = Counter()
    locks = 0
    # Every stage is killed in turn, each time at another moment: first at any, which is mostly while Python still
    # imports, then during its work, if it trains or makes shards. A resumed stage needs less time than a whole one.
    order = list(seconds)
    for stage in order:
        units = units_done([file for file in journal(peaceful).iterdir() if file.name.rsplit("-", 1)[0] == stage])
        for turn in range(-(-KILLS // len(seconds)) + 1):
            after, first_units = rng.uniform(0, 0.7 * seconds[stage]), 0
            if turn and units:
                after, first_units = rng.uniform(0, 0.05), rng.randint(1, max(1, units // 4))
            kills[kill_in(killed, order[order.index(stage) :], after, first_units)] += 1
            locks += unlocked(killed)
    missed = kills.pop("none", 0)
    assert "up to date" in killed.dvc("repro") + killed.dvc("status")

    expected, actual = outs(peaceful), outs(killed)
    steps, shards, _ = work(peaceful)
    all_steps, all_shards, unsaved = work(killed)
    print(f"\n{sum(kills.values())} kills, {missed} came too late, {locks} broke DVC's lock: {dict(kills)}")
    print(f"{'stage':16} {'kills':>6} {'steps':>6} {'repeated':>9} {'shards':>7} {'repeated':>9}")
    for stage in sorted(all_steps):
        repeated_steps, repeated_shards = all_steps[stage] - steps[stage], all_shards[stage] - shards[stage]
        print(f"{stage:16} {kills[stage]:6} {steps[stage]:6} {repeated_steps:9} {shards[stage]:7} {repeated_shards:9}")
    assert sum(kills.values()) >= KILLS
    assert expected.keys() == actual.keys()
    assert [name for name in expected if expected[name] != actual[name]] == []
    for stage in all_steps:
        assert 0 <= all_steps[stage] - steps[stage] <= min(unsaved[stage], MAX_REPEATED * kills[stage])
        assert 0 <= all_shards[stage] - shards[stage] <= kills[stage]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_two_runs_at_once(project: Callable[..., Repo], tmp_path: Path) -> None:
    """They share the work cache, and each ends as it would alone.

    In clones of their own: DVC's queue itself can lose one of two (treeverse/dvc#10673, as of DVC 3.67).
    """
    rates = {"one": 2e-3, "other": 3e-3, "alone": 2e-3}
    repos = {name: project(tmp_path / name / "project", distill={"learning_rate": rates[name]}) for name in rates}
    repos["other"].environment["XDG_CACHE_HOME"] = repos["one"].environment["XDG_CACHE_HOME"]
    # Both draw the same neighbours, and run the same teacher on them, at the same time.
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: repos[name].dvc("repro"), ("one", "other")))
    repos["alone"].dvc("repro")
    one, other, alone = (outs(repos[name]) for name in rates)
    assert one == alone
    changed = {name for name in one if other[name] != one[name]}
    assert "models/student/model.safetensors" in changed
    assert not [name for name in changed if name.startswith(("data/augmented/", "data/teacher/", "models/teacher/"))]
