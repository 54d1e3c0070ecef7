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
    excluded: set[int] = field(default_factory=set)
    """Pieces that the last changed word may not become; the log-probability of its word stays that of Eq. 12."""

    def pieces(self, mask: int) -> tuple[list[int], list[int]]:
        """The original's pieces and their types, one for each changed word: the new word, if drawn, or the mask."""
        tokens: list[int] = []
        types: list[int] = []
        cursor = 0
        for order, position in enumerate(self.positions):
            word = self.original.words[position]
            tokens += self.original.pieces[cursor : word.first]
            types += self.original.types[cursor : word.first + 1]
            tokens.append(self.words[order] if order < len(self.words) else mask)
            cursor = word.last + 1
        return tokens + self.original.pieces[cursor:], types + self.original.types[cursor:]

    def masks(self) -> list[int]:
        """Where in `pieces` the changed words are."""
        shift = 0
        out = []
        for position in self.positions:
            word = self.original.words[position]
            out.append(word.first - shift)
            shift += word.last - word.first
        return out

    def old_pieces(self, whole_words: Mapping[str, int]) -> list[int]:
        """The piece that each changed word was, −1 for words of several.

        Args:
            whole_words: whole-word pieces by their text. In byte-level vocabularies a text's first word is made of
                other pieces than the same word further on, which must not replace it.
        """
        out = []
        for position in self.positions:
            word = self.original.words[position]
            single = self.original.pieces[word.first] if word.first == word.last else -1
            out.append(whole_words.get(self.original.word_text(word), single))
        return out


Distances = Callable[[int], npt.NDArray[np.float64]]
"""log P(d | m) for d = 0 … m, given m; −inf throughout if a text of m words has no neighbour."""


def neighbour_rng(seed: int, original_id: str, sample: int, attempt: int) -> np.random.Generator:
    """The random numbers of one neighbour: they depend on the seed, the original's id, the sample and the attempt."""
    key = blake2b(f"{seed}/{original_id}/{sample}/{attempt}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))


def draw_positions(original: Original, sample: int, attempt: int, seed: int, distances: Distances) -> Neighbour | None:
    """Draw distance (Eq. 11) and positions of one neighbour, and the quantiles its words will be drawn at.

    Returns None if the text has too few words.
    """
    rng = neighbour_rng(seed, original.id, sample, attempt)
    length = len(original.words)
    log_p = distances(length)
    if not np.isfinite(log_p).any():
        return None
    distance = draw_distance(log_p, rng.random())
    positions = sorted(rng.choice(length, size=distance, replace=False).tolist())
    return Neighbour(
        original,
        sample,
        attempt,
        positions,
        rng.random(distance).tolist(),
        float(log_p[distance]),
        -float(log_choose(length, distance)),
    )
