"""A neighbour being drawn: how many words of its original change and which (Eqs. 10 and 11), then into what."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from pipeline.augment.distance import draw_distance, log_choose
from pipeline.augment.originals import Original


@dataclass(slots=True)
class Neighbour:
    """A sample z of an original: what was drawn and how likely it was. `words` and `log_p_words` come last."""

    original: Original
    sample: int
    attempt: int
    positions: list[int]
    quantiles: list[float]
    log_p_distance: float
    log_p_positions: float
    words: list[int] = field(default_factory=list)
    log_p_words: float = 0.0
    taken: set[int] = field(default_factory=set)
    """What the last changed word may not become; its chance stays that of Eq. 12."""

    def pieces(self, mask: int) -> tuple[list[int], list[int]]:
        """The original's pieces and their types with one mask, or new word if there is one, for each changed word."""
        tokens: list[int] = []
        types: list[int] = []
        behind = 0
        for order, position in enumerate(self.positions):
            word = self.original.words[position]
            tokens += self.original.pieces[behind : word.first]
            types += self.original.types[behind : word.first + 1]
            tokens.append(self.words[order] if order < len(self.words) else mask)
            behind = word.last + 1
        return tokens + self.original.pieces[behind:], types + self.original.types[behind:]

    def masks(self) -> list[int]:
        """Where in `pieces` the changed words stand."""
        shift = 0
        out = []
        for position in self.positions:
            word = self.original.words[position]
            out.append(word.first - shift)
            shift += word.last - word.first
        return out

    def old(self, whole: Mapping[str, int]) -> list[int]:
        """The piece that each changed word was, −1 for words of several.

        Args:
            whole: whole-word pieces as they are written. In byte-level vocabularies a text's first word is made of
                other pieces than the same word further on, which must not take its place.
        """
        out = []
        for position in self.positions:
            word = self.original.words[position]
            single = self.original.pieces[word.first] if word.first == word.last else -1
            out.append(whole.get(self.original.written(word), single))
        return out


Distances = Callable[[int], npt.NDArray[np.float64]]
"""log P(d | m) for d = 0 … m, given m; −inf throughout if a text of m words has no neighbour."""


def chances(seed: int, original: str, sample: int, attempt: int) -> np.random.Generator:
    """Randomness of one neighbour: it hangs on the seed, the original's id, the sample number and the attempt alone."""
    key = blake2b(f"{seed}/{original}/{sample}/{attempt}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))


def draw(original: Original, sample: int, attempt: int, seed: int, distances: Distances) -> Neighbour | None:
    """Draw distance (Eq. 11) and positions of one neighbour, and the quantiles its words will be drawn at.

    None if the text has too few words.
    """
    chance = chances(seed, original.id, sample, attempt)
    length = len(original.words)
    log_p = distances(length)
    if not np.isfinite(log_p).any():
        return None
    distance = draw_distance(log_p, chance.random())
    positions = sorted(chance.choice(length, size=distance, replace=False).tolist())
    return Neighbour(
        original,
        sample,
        attempt,
        positions,
        chance.random(distance).tolist(),
        float(log_p[distance]),
        -float(log_choose(length, distance)),
    )
