"""Where shards are made: one after another in this process, or many at once by Ray."""

import os
import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pipeline.compute import distributed
from pipeline.compute.progress import track
from pipeline.errors import InputError
from pipeline.params.types import Engine

T = TypeVar("T")


def for_each(work: Callable[[T], object], shards: Sequence[T], engine: Engine, what: str) -> None:
    """Do the work of every shard.

    Args:
        work: a function of a module, whose result is what it leaves in the work cache.
        engine: `ray` works on the cluster that RAY_ADDRESS names, or on one it starts here for as long as it needs it,
            one shard a core (or a GPU, where there is one). The machines of a cluster share this folder and the work
            cache. The shard of a worker that dies is made by another.
        what: for the progress bar.

    Raises what the work raises, and InputError if Ray is not there.
    """
    if not shards:
        return
    if engine == "local":
        for shard in track(shards, what, unit="shard"):
            work(shard)
        return
    with track(shards, what, unit="shard") as bar:
        _by_ray(work, shards, bar.update)


def _by_ray(work: Callable[[T], object], shards: Sequence[T], done_one: Callable[[], object]) -> None:
    try:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray
    except ImportError:
        raise InputError("engine: ray is not installed; accepted: engine: local, or pip install -e '.[ray]'") from None
    ours = not ray.is_initialized()
    if ours:
        _connect(ray)
    try:
        gpus = 1 if distributed.device().type == "cuda" else 0
        task: Any = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=3)(_in_folder)
        left = [task.remote(work, shard, Path.cwd()) for shard in shards]
        while left:
            done, left = ray.wait(left)
            ray.get(done)
            done_one()
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        said = " ".join(str(error).split())[:300]
        raise InputError(f"engine: ray gave up: {said}; accepted: more memory a core, or engine: local") from None
    finally:
        if ours:
            ray.shutdown()


def _connect(ray: Any) -> None:
    """Join the cluster of RAY_ADDRESS, or start one. Raises InputError if nobody answers at that address."""
    address = os.environ.get("RAY_ADDRESS", "")
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdigit():
        # Ray itself would try for minutes.
        try:
            socket.create_connection((host, int(port)), timeout=10).close()
        except OSError as error:
            raise InputError(
                f"RAY_ADDRESS: nobody answers at {address} ({error}); accepted: a cluster's address, or none"
            ) from None
    handler = signal.getsignal(signal.SIGTERM)
    ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    # Ray puts one of its own there.
    signal.signal(signal.SIGTERM, handler)


def _in_folder(work: Callable[[T], object], shard: T, folder: Path) -> None:
    """Do the work where the stage runs: paths are relative to its folder."""
    import torch

    os.chdir(folder)
    torch.set_num_threads(1)
    work(shard)
