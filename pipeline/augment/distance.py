"""Eq. 11: how many words of a text change."""

from functools import lru_cache
from typing import Literal

import numpy as np
from scipy.special import gammaln, logsumexp

Count = Literal["rescaled", "literal", "vocabulary_free"]


def log_choose(length: int, distance: np.ndarray | int) -> np.ndarray:
    """log C(m, d): the ways to choose d of m positions."""
    chosen = np.asarray(distance, dtype=np.float64)
    return gammaln(length + 1.0) - gammaln(chosen + 1.0) - gammaln(length - chosen + 1.0)


@lru_cache(maxsize=4096)
def log_p_distance(length: int, *, alpha: float, vocabulary: int, count: Count, min_distance: int) -> np.ndarray:
    """log P(d | x) for d = 0 … m: (m + 1,) float64, −inf below `min_distance` (Eq. 11, p. 4).

    P(d) is proportional to c(d, m)·exp(−d/α), where c(d, m) counts the texts at distance d:

    - `literal`: C(m,d)·(|V|−1)^d, as printed; nearly all mass lies at d = m for any usual α.
    - `rescaled`: C(m,d)·(|V|−1)^(d−d/α), which Norouzi et al. 2016 use.
    - `vocabulary_free`: C(m,d), which makes d binomial with probability 1/(1+e^(1/α)).

    Args:
        length: m, the words that may change.
        vocabulary: |V|.
        min_distance: the smallest d allowed; the distribution is conditioned on it. If it is above m all entries are
            −inf.
    """
    distance = np.arange(length + 1, dtype=np.float64)
    log_words = np.log(vocabulary - 1.0)
    exponent = {"literal": distance, "rescaled": distance - distance / alpha, "vocabulary_free": 0.0 * distance}[count]
    log_weight = log_choose(length, distance) + exponent * log_words - distance / alpha
    log_weight[:min_distance] = -np.inf
    out = log_weight if min_distance > length else log_weight - logsumexp(log_weight)
    out.setflags(write=False)
    return out


def log_p_binomial(length: int, *, share: float) -> np.ndarray:
    """log P(d | x) if each word changes with probability `share`, below 0.5, and at least one does: (m + 1,)."""
    alpha = 1 / np.log(1 / share - 1)
    return log_p_distance(length, alpha=alpha, vocabulary=2, count="vocabulary_free", min_distance=1)


def draw_distance(log_p: np.ndarray, quantile: float) -> int:
    """The distance at a quantile of the distribution (inverse of its cumulative sum)."""
    cumulative = np.cumsum(np.exp(log_p))
    return int(np.searchsorted(cumulative, quantile * cumulative[-1], side="right"))
