"""How fast models answer, taking turns, so that a machine that slows down slows all of them."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from pipeline.compute.batching import Batch
from pipeline.compute.progress import track
from pipeline.serving.runtime import Run

LENGTHS = (16, 64, 128)
"""Tokens of a text."""
BATCH = 32
ROUNDS = 40
"""Turns of one text each; of whole batches there are a tenth."""


def timings(
    runs: Mapping[str, Run], batches: Mapping[str, Callable[[int, int], Batch]], lengths: Mapping[str, int]
) -> dict[str, dict[str, Any]]:
    """Time models that take turns, from tokens to outputs.

    Args:
        batches: makes for each model a batch of so many texts of so many tokens.
        lengths: the most tokens each model takes.

    Returns for each model by `tokens_16`, ... `median_ms` and `p95_ms`, milliseconds for one text alone, and
    `texts_per_second` in batches of 32; lengths that a model does not take are left out.
    """
    measured: dict[str, dict[str, Any]] = {name: {} for name in runs}
    for tokens in track(LENGTHS, "timing"):
        able = [name for name in runs if tokens <= lengths[name]]
        alone = _in_turns(
            {name: runs[name] for name in able}, {name: batches[name](1, tokens) for name in able}, ROUNDS
        )
        many = {name: batches[name](BATCH, tokens) for name in able}
        together = _in_turns({name: runs[name] for name in able}, many, ROUNDS // 10)
        for name in able:
            median, high = np.percentile(alone[name], (50, 95)) * 1e3
            measured[name][f"tokens_{tokens}"] = {
                "median_ms": round(float(median), 2),
                "p95_ms": round(float(high), 2),
                "texts_per_second": round(BATCH / float(np.median(together[name])), 1),
            }
    return measured


def random_batch(vocabulary: int, texts: int, tokens: int) -> Batch:
    """A batch of random tokens, all of its texts equally long."""
    ids = torch.randint(1, vocabulary, (texts, tokens), generator=torch.Generator().manual_seed(1))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}


def _in_turns(runs: Mapping[str, Run], batches: Mapping[str, Batch], rounds: int) -> dict[str, list[float]]:
    """Seconds of each model in each round; one round before does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run(batches[name])
            seconds[name].append(time.perf_counter() - start)
    return {name: taken[1:] for name, taken in seconds.items()}
