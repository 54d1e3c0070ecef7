"""Floating-point operations that forward passes need, without padding, and the rate that the machine reaches."""

import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch

from benchmarks.speed.measure import Seconds

SIZE = 1536
PRODUCT = 2.0 * SIZE**3
"""Operations of one matrix product of `time_product`."""


def encoder(config: Any, lengths: Sequence[int]) -> float:
    """Operations of a BERT encoder's matrix products over texts with `lengths` tokens; a multiply-add counts as two.

    A layer has four h × h products and two h × i per token, and two of n × n × h per text.
    """
    h, i = config.hidden_size, config.intermediate_size
    per_token = 8 * h * h + 4 * h * i
    return float(config.num_hidden_layers * sum(n * per_token + 4 * n * n * h for n in lengths))


def masked_lm_head(config: Any, masks: int) -> float:
    """Operations of BERT's masked-LM head at `masks` positions: h × h, then the vocabulary."""
    return 2.0 * masks * config.hidden_size * (config.hidden_size + config.vocab_size)


def classifier(config: Any, lengths: Sequence[int]) -> float:
    """Operations of a BERT classifier: the encoder, and for each text the pooler and the output layer."""
    h = config.hidden_size
    return encoder(config, lengths) + 2.0 * len(lengths) * h * (h + config.num_labels)


def first_token_classifier(config: Any, lengths: Sequence[int]) -> float:
    """The same, if the last layer computes only its first token after attention (`last_layer_first_token_only`).

    The other tokens skip what follows attention: one h × h product and two of h × i.
    """
    h, i = config.hidden_size, config.intermediate_size
    return classifier(config, lengths) - float(sum(n - 1 for n in lengths) * (2 * h * h + 4 * h * i))


def time_product(times: int = 6) -> float:
    """Seconds of a product of large float32 matrices, which runs at the machine's highest rate."""
    a, b = torch.ones(SIZE, SIZE), torch.ones(SIZE, SIZE)
    start = time.perf_counter()
    for _ in range(times):
        a @ b
    return (time.perf_counter() - start) / times


def percent_of_matrix_rate(seconds: Seconds, name: str, operations: float) -> float:
    """Percent of the machine's matrix rate that a contestant with `operations` per round reached.

    Both are measured in the same round, one after the other; the median of the rounds.
    """
    pairs = zip(seconds[name], seconds["product"], strict=True)
    return 100 * statistics.median(operations / elapsed / (PRODUCT / product) for elapsed, product in pairs)
