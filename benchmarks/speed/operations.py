"""Floating-point operations that forward passes need, padding not among them, and how many the machine can do."""

import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch

from benchmarks.speed.measure import Seconds

SIZE = 1536
PRODUCT = 2.0 * SIZE**3
"""Operations of a product of two matrices as large as `product` takes."""


def encoder(config: Any, lengths: Sequence[int]) -> float:
    """Operations of a BERT encoder's matrix products over texts of so many tokens (an addition and a product are two).

    A layer has four h × h products and two h × i a token, and two of n × n × h a text.
    """
    h, i = config.hidden_size, config.intermediate_size
    a_token = 8 * h * h + 4 * h * i
    return float(config.num_hidden_layers * sum(n * a_token + 4 * n * n * h for n in lengths))


def masked_words(config: Any, masks: int) -> float:
    """Operations of BERT's masked-LM head at so many masks: h × h, then the vocabulary."""
    return 2.0 * masks * config.hidden_size * (config.hidden_size + config.vocab_size)


def classifier(config: Any, lengths: Sequence[int]) -> float:
    """Operations of a BERT classifier: the encoder, and of each text its pooler and labels."""
    h = config.hidden_size
    return encoder(config, lengths) + 2.0 * len(lengths) * h * (h + config.num_labels)


def answers(config: Any, lengths: Sequence[int]) -> float:
    """The same where the last layer goes on with its first token alone (`partial_passes.last_layer_at_first`).

    The others are spared what follows attention: an h × h product and two of h × i.
    """
    h, i = config.hidden_size, config.intermediate_size
    return classifier(config, lengths) - float(sum(n - 1 for n in lengths) * (2 * h * h + 4 * h * i))


def product(times: int = 6) -> float:
    """Seconds of a product of large float32 matrices, of which the machine does more than of anything else."""
    a, b = torch.ones(SIZE, SIZE), torch.ones(SIZE, SIZE)
    start = time.perf_counter()
    for _ in range(times):
        a @ b
    return (time.perf_counter() - start) / times


def share(seconds: Seconds, name: str, needed: float) -> float:
    """Percent of the machine's matrix rate that a contestant reached, which needed so many operations a round.

    Both are of the same round, one after the other; the median of the rounds.
    """
    pairs = zip(seconds[name], seconds["product"], strict=True)
    return 100 * statistics.median(needed / own / (PRODUCT / product) for own, product in pairs)
