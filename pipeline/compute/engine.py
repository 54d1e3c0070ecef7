"""Computing shards: one after another in this process, or in parallel on Ray."""

import os
import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pipeline.compute import distributed
from pipeline.compute.precision import VARIABLE, number_format
from pipeline.compute.progress import track
from pipeline.errors import InputError, one_line
from pipeline.params.types import Engine

T = TypeVar("T")


def for_each(work: Callable[[T], object], shards: Sequence[T], engine: Engine, description: str) -> None:
    """Call `work` for every shard.

    Args:
        work: a module-level function, which writes its result to the work cache.
        engine: `ray` uses the cluster at RAY_ADDRESS, or starts one on this machine and stops it at the end, with one
            shard at a time for each core (or each GPU, if there is one). All machines of a cluster must share this
            folder and the work cache. If a worker dies, another computes its shard.
        description: for the progress bar.

    Raises what `work` raises, and InputError if Ray is not installed or cannot be reached.
    """
    if not shards:
        return
    if engine == "local":
        for shard in track(shards, description, unit="shard"):
            work(shard)
        return
    with track(shards, description, unit="shard") as bar:
        _run_on_ray(work, shards, bar.update)


def _run_on_ray(work: Callable[[T], object], shards: Sequence[T], on_done: Callable[[], object]) -> None:
    try:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray
    except ImportError as error:
        raise InputError("engine: ray is not installed; accepted: engine: local, or pip install -e '.[ray]'") from error
    starts_ray = not ray.is_initialized()
    if starts_ray:
        _connect(ray)
    try:
        gpus = 1 if distributed.device().type == "cuda" else 0
        task: Any = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=3)(_work_in_folder)
        # A worker on another machine may have another environment, or another processor.
        number = number_format(distributed.device())
        pending = [task.remote(work, shard, Path.cwd(), number) for shard in shards]
        while pending:
            done, pending = ray.wait(pending)
            ray.get(done)
            on_done()
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except ray.exceptions.RayError as error:
        accepted = "more memory per core, or engine: local"
        raise InputError(f"engine: ray failed: {one_line(error)}; accepted: {accepted}") from error
    finally:
        if starts_ray:
            ray.shutdown()


def _connect(ray: Any) -> None:
    """Connect to the cluster at RAY_ADDRESS, or start one. Raises InputError if nothing listens at that address."""
    address = os.environ.get("RAY_ADDRESS", "")
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdigit():
        # Ray itself would retry for minutes.
        try:
            socket.create_connection((host, int(port)), timeout=10).close()
        except OSError as error:
            raise InputError(
                f"RAY_ADDRESS: cannot connect to {address} ({error}); accepted: a cluster's address, or none"
            ) from error
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    except (ValueError, ConnectionError, RuntimeError) as error:
        raise InputError(
            f"RAY_ADDRESS: got {address or 'none'} ({one_line(error)}); accepted: a cluster's address, or none"
        ) from error
    # ray.init replaces the handler of SIGTERM.
    signal.signal(signal.SIGTERM, handler)


def _work_in_folder(work: Callable[[T], object], shard: T, folder: Path, number: str) -> None:
    """Call `work` in the stage's working folder, as paths are relative to it, and in its number format."""
    import torch

    os.chdir(folder)
    os.environ[VARIABLE] = number
    torch.set_num_threads(1)
    work(shard)
