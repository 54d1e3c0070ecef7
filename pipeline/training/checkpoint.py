"""Checkpoints: what a killed training run goes on from, to the weights it would have had."""

import json
import logging
import math
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.compute import distributed
from pipeline.compute.environment import environment
from pipeline.storage.atomic import publish_file
from pipeline.storage.checksums import checksum
from pipeline.storage.fingerprint import code_hash, fingerprint
from pipeline.storage.workcache import work_folder

logger = logging.getLogger(__name__)
Tensors = dict[str, torch.Tensor]
SHARE = 0.02
"""Of a run's time, at most so much goes into checkpoints."""
FINISHED = "finished"
"""The file beside a checkpoint that is no longer needed but for DVC's own sake."""


class Checkpoint:
    """The last state of a training run, one safetensors file in the work cache, named by all that the run hangs on.

    The first is written after the first step. Each tells how long the next has to wait, so that small models lose
    next to nothing when they are killed, and large ones little time, from there on `SHARE`, when they are not.
    """

    def __init__(self, stage: str, module: str, **inputs: Any) -> None:
        """Name a run.

        Args:
            module: the module that trains; it goes on only with the code it began with.
            inputs: JSON-like, all that decides its outcome beside the code and the libraries: params, hashes of the
                models it starts with and of what it reads.
        """
        print_ = fingerprint(**inputs, **environment(), code=code_hash(module), processes=distributed.world_size())
        folder = work_folder(stage, print_)
        if not distributed.rank():
            (folder / FINISHED).unlink(missing_ok=True)
            for finished in folder.parent.glob(f"*/{FINISHED}"):
                shutil.rmtree(finished.parent, ignore_errors=True)
        self.path = folder / "checkpoint.safetensors"
        # In the file too: the folder's name does not tell where a copied file comes from.
        self._run = f"{stage}/{print_}"
        self.next = 0.0

    @property
    def due(self) -> bool:
        """Whether it is time to write one; of several processes the first does."""
        return not distributed.rank() and time.monotonic() >= self.next

    def save(self, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any]) -> None:
        """Write tensors, JSON-like facts and the state of torch's random numbers, all or nothing.

        Where that cannot be written, a warning says so, and the run goes on without.
        """
        start = time.monotonic()
        said = torch.frombuffer(bytearray(json.dumps(facts).encode()), dtype=torch.uint8)
        whole = {**tensors, **_random_state(), "facts": said}
        whole = _apart({name: tensor.detach().contiguous() for name, tensor in whole.items()})
        try:
            # The checksum lies in the file: were it beside it, a kill between the two would cost both.
            with publish_file(self.path) as temporary:
                save_file(whole, temporary, metadata={"checksum": checksum(whole), "run": self._run})
        except (OSError, SafetensorError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            logger.warning("%s: cannot be written (%s); going on without", self.path, reason)
            self.next = math.inf
            return
        end = time.monotonic()
        self.next = end + (end - start) / SHARE

    def load(self) -> tuple[Tensors, dict[str, Any]] | None:
        """Give back what was saved last, and torch its random numbers; None if there is nothing, or it is no good.

        What is damaged or of another run is named in a warning.
        """
        saved, sum_ = self._read()
        mark = float(int(sum_[:12] or "0", 16))
        # Also waits for all to have read it: only then may the first save the next.
        if distributed.all_reduce_sum(float([mark] != distributed.broadcast_floats([mark]))):
            logger.warning("%s: not the same for all processes; starting over", self.path)
            return None
        if not saved:
            return None
        torch.set_rng_state(saved.pop("random/cpu"))
        if "random/cuda" in saved:
            torch.cuda.set_rng_state(saved.pop("random/cuda"))
        if distributed.rank():
            # Their dropout is not that of the first.
            torch.manual_seed(int(torch.randint(2**31, ())) + distributed.rank())
        return saved, json.loads(saved.pop("facts").numpy().tobytes())

    def _read(self) -> tuple[Tensors, str]:
        """What lies there and its checksum; nothing if it is not whole, or of another run."""
        if not self.path.is_file():
            return {}, ""
        try:
            with safe_open(self.path, "pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                sum_, run = file.metadata()["checksum"], file.metadata()["run"]
            whole = sum_ == checksum(tensors)
        except (SafetensorError, OSError, TypeError, KeyError):
            whole = False
        if not whole:
            logger.warning("%s: damaged; starting over", self.path)
            return {}, ""
        if run != self._run:
            logger.warning("%s: of another run; starting over", self.path)
            return {}, ""
        return tensors, sum_

    def finish(self) -> None:
        """What it made is published; it stays until the stage's next run, for DVC may die before it has noted that."""
        if not distributed.rank():
            with suppress(OSError):
                (self.path.parent / FINISHED).touch()


def model_hash(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> str:
    """32 hex digits of what a model starts with: sizes, weights and the pieces its texts are cut into."""
    said = f"{model.config.to_json_string()}{tokenizer.backend_tokenizer.to_str()}"
    return checksum(model.state_dict() | {"": torch.frombuffer(bytearray(said.encode()), dtype=torch.uint8)})


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


def with_prefix(name: str, tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """Put `name/` before the names."""
    return {f"{name}/{key}": tensor for key, tensor in tensors.items()}


def strip_prefix(name: str, tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """The tensors whose names begin with `name/`, without it."""
    return {key.removeprefix(f"{name}/"): tensor for key, tensor in tensors.items() if key.startswith(f"{name}/")}
