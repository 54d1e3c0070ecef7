"""A pipeline that is killed again and again ends with the very bytes of one that was not, and repeats next to nothing.

`python -m pytest -m slow tests/end_to_end/test_crash.py -s` prints what was repeated, stage by stage.
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path
from typing import IO

import psutil
import pytest
from helpers.tiny_project import Repo

COUNTED = Path(__file__).parents[1] / "helpers" / "counted.py"
KILLS = 50
MOST = 80
"""Steps of these models in the time between two checkpoints, and some more."""
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
    """A project whose stages write down what they work on, and have a work cache of their own."""

    def make(name: str) -> Repo:
        repo = project(tmp_path / name / "project", **LONGER)
        journal = tmp_path / name / "journal"
        journal.mkdir()
        script = repo.folder / "stages" / "python"
        script.write_text(f'#!/bin/sh\nPYTHONPATH=. exec {sys.executable} {COUNTED} {journal} "$@"\n')
        return repo

    return make


def unlocked(repo: Repo) -> bool:
    """Whether DVC was killed just when it wrote who holds its lock, and cannot read that; it is removed by hand."""
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
    """Run without a kill: the seconds of each stage."""
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
    """Start, and kill everything so many seconds into the first of these stages that runs; says which ran then.

    With units, seconds count from when it has done so many, or from the next stage's start.
    """
    running, first = "", ""
    known = set(journal(repo).iterdir())
    with started(repo) as process:
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        deadline = None
        while process.poll() is None and (deadline is None or time.monotonic() < deadline):
            for found in re.finditer(r"Running stage '([\w@]+)'", _there(process.stdout)):
                running = found[1]
                first = first or (running if running in stages else "")
            if first and deadline is None and (running != first or done(set(journal(repo).iterdir()) - known) >= units):
                deadline = time.monotonic() + after
            time.sleep(0.01)
        if process.poll() is not None:
            return "none"
        for victim in [*psutil.Process(process.pid).children(recursive=True), process]:
            victim.send_signal(signal.SIGKILL)
    return running


def journal(repo: Repo) -> Path:
    """Where the stages write down what they do."""
    return repo.folder.parent / "journal"


def done(files: Collection[Path]) -> int:
    """The steps, checkpoints and shards that are written down there."""
    return sum(file.read_bytes().count(b"\n") for file in files)


def _there(lines: IO[str]) -> str:
    try:
        return lines.read() or ""
    except TypeError:
        # Nothing has been written since.
        return ""


def outs(repo: Repo) -> dict[str, bytes]:
    """What the pipeline leaves, without how fast it was."""
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
    # Nothing but seconds and what follows from the models' bytes.
    del found["metrics/serving.json"]
    scores = json.loads(found.pop("metrics/evaluation.json"))
    for model in scores.values():
        del model["sentences_per_second"]
    return found | {"scores": json.dumps(scores).encode()}


def work(repo: Repo) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Of each stage, in all its processes: steps, shards, and the steps after each process's last checkpoint."""
    steps, shards, unsaved = Counter[str](), Counter[str](), Counter[str]()
    for file in journal(repo).iterdir():
        stage, lines = file.name.rsplit("-", 1)[0], file.read_text().splitlines()
        steps[stage] += lines.count("step")
        shards[stage] += lines.count("shard")
        last = max((number for number, line in enumerate(lines) if line == "saved"), default=-1)
        unsaved[stage] += lines[last + 1 :].count("step")
    return steps, shards, unsaved


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_kills_cost_next_to_nothing(counted: Callable[[str], Repo]) -> None:
    peaceful, killed = counted("peaceful"), counted("killed")
    seconds = timed(peaceful)
    chance = random.Random(1)
    kills: Counter[str] = Counter()
    locks = 0
    names = {"augment_again@2": "augment@2", "cache_again@2": "cache_teacher@2", "distill_again@2": "distill@2"}
    stages = {name: stage for stage, name in names.items()}
    # Every stage in turn, as often as there are kills for it, each at a moment of its own: once at any, which is mostly
    # while Python still imports, then in the midst of its work, if it trains or makes shards. A stage that goes on from
    # where it was needs less time than it did in one piece.
    order = list(seconds)
    for stage in order:
        ran = names.get(stage, stage)
        units = done([file for file in journal(peaceful).iterdir() if file.name.rsplit("-", 1)[0] == ran])
        for turn in range(-(-KILLS // len(seconds)) + 1):
            after, behind = chance.uniform(0, 0.7 * seconds[stage]), 0
            if turn and units:
                after, behind = chance.uniform(0, 0.05), chance.randint(1, max(1, units // 4))
            kills[kill_in(killed, order[order.index(stage) :], after, behind)] += 1
            locks += unlocked(killed)
    missed = kills.pop("none", 0)
    assert "up to date" in killed.dvc("repro") + killed.dvc("status")

    wanted, found = outs(peaceful), outs(killed)
    steps, shards, _ = work(peaceful)
    all_steps, all_shards, unsaved = work(killed)
    print(f"\n{sum(kills.values())} kills, {missed} came too late, {locks} broke DVC's lock: {dict(kills)}")
    print(f"{'stage':16} {'kills':>6} {'steps':>6} {'repeated':>9} {'shards':>7} {'repeated':>9}")
    for stage in sorted(all_steps):
        died = kills[stages.get(stage, stage)]
        again, anew = all_steps[stage] - steps[stage], all_shards[stage] - shards[stage]
        print(f"{stage:16} {died:6} {steps[stage]:6} {again:9} {shards[stage]:7} {anew:9}")
    assert sum(kills.values()) >= KILLS
    assert wanted.keys() == found.keys()
    assert [name for name in wanted if wanted[name] != found[name]] == []
    for stage in all_steps:
        died = kills[stages.get(stage, stage)]
        assert 0 <= all_steps[stage] - steps[stage] <= min(unsaved[stage], MOST * died)
        assert 0 <= all_shards[stage] - shards[stage] <= died


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_two_experiments_at_once(project: Callable[..., Repo], tmp_path: Path) -> None:
    """They share the work cache, and each ends as it would have alone."""
    repo = project(tmp_path / "project")
    repo.dvc("repro")
    repo.run("git", "add", "-A")
    repo.run("git", "commit", "-qm", "after")
    # Both draw the same neighbours with another alpha, and ask the teacher about them, side by side.
    for learning_rate in ("0.002", "0.003"):
        repo.dvc("exp", "run", "--queue", "-S", "alpha=1.5", "-S", f"distill.learning_rate={learning_rate}")
    repo.dvc("queue", "start", "-j", "2")
    deadline = time.monotonic() + 900
    while time.monotonic() < deadline:
        status = repo.dvc("queue", "status")
        if not re.search("Queued|Running", status):
            break
        time.sleep(2)
    assert status.count("Success") == 2, status
    shown = json.loads(repo.dvc("exp", "show", "--json"))
    found = {}
    for experiment in shown[1]["experiments"] if shown[1].get("experiments") else shown[0]["experiments"]:
        (revision,) = experiment["revs"]
        params = revision["data"]["params"]["params.yaml"]["data"]
        outs = revision["data"]["outs"]
        found[params["distill"]["learning_rate"]] = {path: out["hash"] for path, out in outs.items()}
    assert found.keys() == {0.002, 0.003}
    one, other = found.values()
    assert one["data/augmented"] == other["data/augmented"]
    assert one["data/teacher"] == other["data/teacher"]
    assert one["models/student"] != other["models/student"]
    # Alone, with a work cache of its own, the first comes to the same.
    repo.environment["XDG_CACHE_HOME"] = str(tmp_path / "another")
    shutil.rmtree(repo.folder / ".dvc" / "cache" / "runs")
    repo.dvc("exp", "run", "-S", "alpha=1.5", "-S", "distill.learning_rate=0.002")
    alone = json.loads(repo.dvc("exp", "show", "--json"))[0]["data"]["outs"]
    for path in ("data/augmented", "data/teacher", "models/student", "data/selection.parquet"):
        assert alone[path]["hash"] == found[0.002][path]
