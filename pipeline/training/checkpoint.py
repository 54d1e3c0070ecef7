"""Checkpoints: a killed run resumes from its last one; a single process then ends with the same weights as without."""

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
TIME_BUDGET = 0.02
"""The fraction of a run's time that may be spent on writing checkpoints."""
FINISHED = "finished"
"""Name of an empty file next to the checkpoint of a run whose output is published."""


class Checkpoint:
    """The latest state of a training run: one safetensors file in the work cache, named by all that the run depends on.

    The first is written after the first step. How long writing took sets how long the next waits, so that small
    models lose next to nothing when they are killed, and large ones spend at most `TIME_BUDGET` when they are not.
    """

    def __init__(self, stage: str, module: str, **inputs: Any) -> None:
        """Name a run.

        Args:
            stage: subfolder of the work cache.
            module: the module that trains: a run resumes only with the code it started with.
            inputs: JSON-like, all else that decides the outcome: params, hashes of the initial models and of the data.
        """
        run_hash = fingerprint(**inputs, **environment(), code=code_hash(module), processes=distributed.world_size())
        folder = work_folder(stage, run_hash)
        if not distributed.rank():
            (folder / FINISHED).unlink(missing_ok=True)
            for finished in folder.parent.glob(f"*/{FINISHED}"):
                shutil.rmtree(finished.parent, ignore_errors=True)
        self.path = folder / "checkpoint.safetensors"
        # Also written into the file: a copied file would carry another folder's name.
        self._run = f"{stage}/{run_hash}"
        self.next = 0.0

    @property
    def due(self) -> bool:
        """Whether it is time to write one; of several processes only the first writes."""
        return not distributed.rank() and time.monotonic() >= self.next

    def save(self, tensors: Mapping[str, torch.Tensor], progress: Mapping[str, Any]) -> None:
        """Write tensors, JSON-like progress and the state of torch's random number generators, all or nothing.

        If it cannot be written, a warning names the reason, and the run continues without checkpoints.
        """
        start = time.monotonic()
        encoded = torch.frombuffer(bytearray(json.dumps(progress).encode()), dtype=torch.uint8)
        content = {**tensors, **_random_state(), "progress": encoded}
        content = _without_shared_memory({name: tensor.detach().contiguous() for name, tensor in content.items()})
        try:
            # The checksum is inside the file: with a second file, a kill between the two writes would cost both.
            with publish_file(self.path) as temporary:
                save_file(content, temporary, metadata={"checksum": checksum(content), "run": self._run})
        except (OSError, SafetensorError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            logger.warning("%s: cannot be written (%s); continuing without checkpoints", self.path, reason)
            self.next = math.inf
            return
        end = time.monotonic()
        self.next = end + (end - start) / TIME_BUDGET

    def load(self) -> tuple[Tensors, dict[str, Any]] | None:
        """Return tensors and progress as last saved, and restore torch's random number generators.

        Returns None if there is no checkpoint, or with a warning if it is damaged or belongs to another run.
        """
        tensors, content_hash = self._read()
        number = float(int(content_hash[:12] or "0", 16))
        # This also waits until all have read it: only then may the first process overwrite it.
        if distributed.all_reduce_sum(float([number] != distributed.broadcast_floats([number]))):
            logger.warning("%s: not the same for all processes; starting over", self.path)
            return None
        if not tensors:
            return None
        torch.set_rng_state(tensors.pop("random/cpu"))
        if "random/cuda" in tensors:
            torch.cuda.set_rng_state(tensors.pop("random/cuda"))
        if distributed.rank():
            # Their dropout differs from the first process's.
            torch.manual_seed(int(torch.randint(2**31, ())) + distributed.rank())
        logger.info("resuming from %s", self.path)
        return tensors, json.loads(tensors.pop("progress").numpy().tobytes())

    def _read(self) -> tuple[Tensors, str]:
        """The file's tensors and checksum; both empty if it is missing, damaged or belongs to another run."""
        if not self.path.is_file():
            return {}, ""
        try:
            with safe_open(self.path, "pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                expected, run = file.metadata()["checksum"], file.metadata()["run"]
            intact = expected == checksum(tensors)
        except (SafetensorError, OSError, TypeError, KeyError):
            intact = False
        if not intact:
            logger.warning("%s: damaged; starting over", self.path)
            return {}, ""
        if run != self._run:
            logger.warning("%s: belongs to another run; starting over", self.path)
            return {}, ""
        return tensors, expected

    def finish(self) -> None:
        """Mark the run's output as published.

        The file stays until the stage's next run: DVC may be killed before it has recorded the output.
        """
        if not distributed.rank():
            with suppress(OSError):
                (self.path.parent / FINISHED).touch()


def model_hash(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> str:
    """32 hex digits of a model's config and weights and of its tokenizer."""
    configs = f"{model.config.to_json_string()}{tokenizer.backend_tokenizer.to_str()}"
    return checksum(model.state_dict() | {"": torch.frombuffer(bytearray(configs.encode()), dtype=torch.uint8)})


def _random_state() -> Tensors:
    state = {"random/cpu": torch.get_rng_state()}
    return state | ({"random/cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {})


def _without_shared_memory(tensors: Tensors) -> Tensors:
    """Copy each tensor that shares memory with an earlier one: safetensors refuses tied weights."""
    seen: set[int] = set()
    separate = {}
    for name, tensor in tensors.items():
        address = tensor.untyped_storage().data_ptr()
        separate[name] = tensor.clone() if address in seen else tensor
        seen.add(address)
    return separate


def with_prefix(name: str, tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """The tensors with `name/` before each name."""
    return {f"{name}/{key}": tensor for key, tensor in tensors.items()}


def strip_prefix(name: str, tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """The tensors whose names begin with `name/`, without that prefix."""
    return {key.removeprefix(f"{name}/"): tensor for key, tensor in tensors.items() if key.startswith(f"{name}/")}
