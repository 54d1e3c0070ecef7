"""Shards computed on Ray equal those of one process, even if workers die."""

import os
import signal
import sys
from pathlib import Path

import pytest
import torch

from pipeline.augment.augment import augment
from pipeline.compute.engine import for_each
from pipeline.compute.precision import number_format
from pipeline.distill.cache_teacher import cache_teacher
from pipeline.errors import InputError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster():
    """A local Ray cluster of two workers."""
    ray = pytest.importorskip("ray")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ray
    ray.shutdown()


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_same_bytes_whatever_the_engine(
    cluster, make_params, uneven, tiny_masked_lm, tiny_classifier, tmp_path, monkeypatch
):
    outs = {}
    for engine in ("local", "ray"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"{engine}_cache"))
        params = make_params(engine=engine, augment={"samples": {"source": 1, "target": 2}, "shards": 3})
        augmented, cache = tmp_path / engine / "augmented", tmp_path / engine / "cache"
        augment(params, prepared=uneven, generator=tiny_masked_lm, out=augmented)
        cache_teacher(params, prepared=uneven, augmented=augmented, teacher=tiny_classifier, out=cache)
        outs[engine] = contents(augmented) | contents(cache)
    assert len(outs["local"]) > 9
    assert outs["local"] == outs["ray"]


def write_process(out: Path) -> None:
    """Write the worker's process id and folder."""
    out.write_text(f"{os.getpid()} {Path.cwd()}")


def test_work_is_done_elsewhere_in_this_folder(cluster, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for_each(write_process, [tmp_path / "one"], "ray", "shards")
    number, folder = (tmp_path / "one").read_text().split()
    assert int(number) != os.getpid()
    assert folder == str(tmp_path)


def write_number_format(out: Path) -> None:
    """Write the format of the worker's matrix products."""
    out.write_text(number_format(torch.device("cpu")))


@pytest.mark.parametrize("asked", ["float32", "bfloat16"])
def test_workers_have_the_stages_number_format(cluster, tmp_path, monkeypatch, asked):
    """Which is in the fingerprint of what they make, whatever the cluster's environment."""
    monkeypatch.setenv("L2A_PRECISION", asked)
    for_each(write_number_format, [tmp_path / "one"], "ray", "shards")
    assert (tmp_path / "one").read_text() == asked


def dies_once(out: Path) -> None:
    """Kill the worker at the first call."""
    if not out.exists():
        out.write_text("tried")
        os.kill(os.getpid(), signal.SIGKILL)
    out.write_text("made")


def test_a_worker_that_dies_loses_nothing(cluster, tmp_path):
    outs = [tmp_path / str(number) for number in range(3)]
    for_each(dies_once, outs, "ray", "shards")
    assert [out.read_text() for out in outs] == ["made"] * 3


def refuse(out: Path) -> None:
    raise InputError(f"{out}: no such thing")


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_what_the_work_raises_comes_back(cluster, engine):
    with pytest.raises(InputError, match=r"^a: no such thing$"):
        for_each(refuse, [Path("a")], engine, "shards")


def test_nothing_to_do_needs_no_cluster(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    for_each(write_process, [], "ray", "shards")
    with pytest.raises(InputError, match=r"engine: ray is not installed; accepted: engine: local, or pip install"):
        for_each(write_process, [Path("a")], "ray", "shards")


def test_no_cluster_at_the_address(cluster, monkeypatch, tmp_path):
    cluster.shutdown()
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(InputError, match=r"^RAY_ADDRESS: cannot connect to 127\.0\.0\.1:1 \("):
        for_each(write_process, [tmp_path / "a"], "ray", "shards")


def test_an_address_that_is_none(cluster, monkeypatch, tmp_path):
    cluster.shutdown()
    monkeypatch.setenv("RAY_ADDRESS", "nonsense")
    with pytest.raises(InputError, match=r"^RAY_ADDRESS: got nonsense \(.*\); accepted: a cluster's address, or none$"):
        for_each(write_process, [tmp_path / "a"], "ray", "shards")


def always_dies(_: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_work_that_always_kills_its_worker_is_given_up(cluster, tmp_path, monkeypatch):
    """On a cluster that is started here, and stopped in any case."""
    cluster.shutdown()
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(InputError, match=r"^engine: ray failed: .*; accepted: more memory per core, or engine: local$"):
        for_each(always_dies, [tmp_path / "a"], "ray", "shards")
    assert not cluster.is_initialized()
    assert signal.getsignal(signal.SIGTERM) is before
