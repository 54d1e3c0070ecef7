"""Latency and throughput of models that take turns, so that a slowdown of the machine affects all alike."""

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import torch

from pipeline.compute.batching import Inputs
from pipeline.compute.progress import track
from pipeline.serving.torch_model import Runner

LENGTHS = (16, 64)
"""Tokens per text."""
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
BATCH = 32
ROUNDS = 40
"""Turns with a single text each; whole batches get a tenth of them."""


def timings(
    runs: Mapping[str, Runner], batches: Mapping[str, Callable[[int, int], Inputs]], lengths: Mapping[str, int]
) -> dict[str, dict[str, Any]]:
    """Time models that take turns, from token ids to outputs.

    Args:
        batches: for each model a function of the number of texts and of tokens that returns a batch.
        lengths: the maximum number of tokens of each model.

    Returns for each model, under `tokens_16` and so on, `median_ms` and `p95_ms`, milliseconds for one text alone, and
    `texts_per_second` in batches of 32; lengths above a model's maximum are left out.
    """
    measured: dict[str, dict[str, Any]] = {name: {} for name in runs}
    for tokens in track(LENGTHS, "timing"):
        fitting = [name for name in runs if tokens <= lengths[name]]
        single = _in_turns(
            {name: runs[name] for name in fitting}, {name: batches[name](1, tokens) for name in fitting}, ROUNDS
        )
        full = {name: batches[name](BATCH, tokens) for name in fitting}
        batched = _in_turns({name: runs[name] for name in fitting}, full, ROUNDS // 10)
        for name in fitting:
            median, high = np.percentile(single[name], (50, 95)) * 1e3
            measured[name][f"tokens_{tokens}"] = {
                "median_ms": round(float(median), 2),
                "p95_ms": round(float(high), 2),
                "texts_per_second": round(BATCH / float(np.median(batched[name])), 1),
            }
    return measured


def random_batch(vocabulary: int, texts: int, tokens: int, inputs: Collection[str] = INPUTS) -> Inputs:
    """A batch of random token ids, all texts of the same length; of `INPUTS` it has those that are named."""
    ids = torch.randint(1, vocabulary, (texts, tokens), generator=torch.Generator().manual_seed(1))
    values = dict(zip(INPUTS, (ids, torch.ones_like(ids), torch.zeros_like(ids)), strict=True))
    return {name: value for name, value in values.items() if name in inputs}


def _in_turns(runs: Mapping[str, Runner], batches: Mapping[str, Inputs], rounds: int) -> dict[str, list[float]]:
    """Seconds of each model in each round, after one round of warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run(batches[name])
            seconds[name].append(time.perf_counter() - start)
    return {name: measured[1:] for name, measured in seconds.items()}
