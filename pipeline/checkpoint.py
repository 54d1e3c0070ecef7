"""Checkpoints: what a killed training run goes on from, to the weights it would have had."""

import json
import logging
import shutil
import time
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from pipeline import models, processes
from pipeline.fingerprint import environment, fingerprint, folder_hash
from pipeline.publishing import publish_file
from pipeline.workcache import work_folder

logger = logging.getLogger(__name__)
Tensors = dict[str, torch.Tensor]
SHARE = 0.05
"""Of a run's time, at most so much goes into checkpoints."""


FINISHED = "finished"


class Checkpoint:
    """The last state of a training run, one safetensors file in the work cache, named by all that the run hangs on.

    The first is written after the first step. Each tells how long the next has to wait, so that small models lose
    next to nothing when they are killed, and large ones at most `SHARE` of their time when they are not.
    """

    def __init__(self, stage: str, **inputs: Any) -> None:
        """Name a run.

        Args:
            inputs: JSON-like, all that decides its outcome: params, hashes of what it reads, code.
        """
        folder = work_folder(stage, fingerprint(**inputs, **environment()))
        if not processes.index():
            (folder / FINISHED).unlink(missing_ok=True)
            for finished in folder.parent.glob(f"*/{FINISHED}"):
                shutil.rmtree(finished.parent, ignore_errors=True)
        self.path = folder / "checkpoint.safetensors"
        self.next = 0.0

    @property
    def due(self) -> bool:
        """Whether it is time to write one; of several processes the first does."""
        return not processes.index() and time.monotonic() >= self.next

    def save(self, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any]) -> None:
        """Write tensors, JSON-like facts and the state of torch's random numbers, all or nothing."""
        start = time.monotonic()
        whole = _apart({name: tensor.detach().contiguous() for name, tensor in {**tensors, **_random_state()}.items()})
        said = json.dumps(facts)
        # The checksum lies in the file: were it beside it, a kill between the two would cost both.
        with publish_file(self.path) as temporary:
            save_file(whole, temporary, metadata={"facts": said, "checksum": _checksum(whole, said)})
        end = time.monotonic()
        self.next = end + (end - start) / SHARE

    def load(self) -> tuple[Tensors, dict[str, Any]] | None:
        """Give back what was saved last, and torch its random numbers; None if there is nothing, or it is damaged."""
        saved = self._read()
        # The first process may save the next only when all have read this one.
        processes.wait()
        if saved:
            torch.set_rng_state(saved[0].pop("random/cpu"))
            if "random/cuda" in saved[0]:
                torch.cuda.set_rng_state(saved[0].pop("random/cuda"))
            if processes.index():
                # Their dropout is not that of the first.
                torch.manual_seed(int(torch.randint(2**31, ())) + processes.index())
        return saved

    def _read(self) -> tuple[Tensors, dict[str, Any]] | None:
        if not self.path.is_file():
            return None
        try:
            with safe_open(self.path, "pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                said = file.metadata()
            whole = said["checksum"] == _checksum(tensors, said["facts"])
        except (SafetensorError, OSError, TypeError, KeyError):
            whole = False
        if not whole:
            logger.warning("%s: damaged; starting over", self.path)
            return None
        return tensors, json.loads(said["facts"])

    def finish(self) -> None:
        """What it made is published; it stays until the stage's next run, for DVC may die before it has noted that."""
        if not processes.index():
            (self.path.parent / FINISHED).touch()


def _checksum(tensors: Tensors, facts: str) -> str:
    digest = blake2b(facts.encode(), digest_size=16)
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].cpu().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _random_state() -> Tensors:
    state = {"random/cpu": torch.get_rng_state()}
    return state | ({"random/cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {})


def _apart(tensors: Tensors) -> Tensors:
    """Copy what shares memory with an earlier one: safetensors refuses tied weights."""
    seen: set[int] = set()
    apart = {}
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        apart[name] = tensor.clone() if place in seen else tensor
        seen.add(place)
    return apart


def address_hash(address: str, key: str) -> str:
    """Name a model by its files if it is a folder, else by its hub id."""
    found = Path(models.resolve(address, key))
    return folder_hash(found) if found.is_dir() else address


def packed(name: str, tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """Put `name/` before the names."""
    return {f"{name}/{key}": tensor for key, tensor in tensors.items()}


def unpacked(name: str, tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """The tensors whose names begin with `name/`, without it."""
    return {key.removeprefix(f"{name}/"): tensor for key, tensor in tensors.items() if key.startswith(f"{name}/")}
