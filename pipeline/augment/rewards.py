"""R_φ(z): what a neighbour is worth to the generator, shared out among the neighbours of one original (Eqs. 5–9)."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def rewards(log_p: Floats, pi: Floats, original: npt.NDArray[np.int64], *, scale: float) -> Floats:
    """R_φ(z) = log P_s(z) + π_φ(z), both on one scale (Eq. 6, p. 4): (neighbours,).

    log P_s is a sum over words and tens below zero, π lies between 0 and 1: log P_s is brought to mean 0 and
    standard deviation 1 among the neighbours of an original, and π is multiplied by `scale`.

    Args:
        log_p: log P_s(z|x) of each neighbour.
        pi: π_φ(z) of each.
        original: which original each belongs to, from 0.
    """
    counts = np.bincount(original)
    mean = np.bincount(original, log_p) / counts
    centred = log_p - mean[original]
    deviation = np.sqrt(np.bincount(original, centred**2) / counts)
    return centred / np.where(deviation > 0, deviation, 1.0)[original] + scale * pi


def weights(reward: Floats, original: npt.NDArray[np.int64]) -> Floats:
    """Share exp(R) out among the neighbours of each original: above 0, with sum 1 (Eq. 9, p. 4): (neighbours,)."""
    highest = np.full(original.max(initial=-1) + 1, -np.inf)
    np.maximum.at(highest, original, reward)
    share = np.exp(reward - highest[original])
    return share / np.bincount(original, share)[original]
