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
    """A sample z of an original: what was drawn and how likely it was. The words are drawn last.

    Args:
        positions: which of the original's units change, rising; of each of them all words.
    """

    original: Original
    sample: int
    positions: list[int]
    quantiles: list[float]
    log_p_distance: float
    log_p_positions: float
    new_token_ids: list[int] = field(default_factory=list)
    """The words drawn so far: one token for each of the first positions, in every place of its unit."""
    log_p_words: float = 0.0
    excluded: set[int] = field(default_factory=set)
    """Token ids that the last new word may not have; its log-probability stays that of Eq. 12."""

    def changed_words(self) -> list[tuple[int, int]]:
        """The words that change, from left to right: index of the word in the original, index in `positions`."""
        units = enumerate(self.original.units[position] for position in self.positions)
        return sorted((word, index) for index, unit in units for word in unit)

    def encode(self, mask_token_id: int) -> tuple[list[int], list[int]]:
        """Token ids and token type ids. A changed word is one token: the new word's if it is drawn, else the mask."""
        token_ids: list[int] = []
        token_type_ids: list[int] = []
        cursor = 0
        for changed, index in self.changed_words():
            word = self.original.words[changed]
            token_ids += self.original.token_ids[cursor : word.first_token]
            token_type_ids += self.original.token_type_ids[cursor : word.first_token + 1]
            token_ids.append(self.new_token_ids[index] if index < len(self.new_token_ids) else mask_token_id)
            cursor = word.last_token + 1
        return token_ids + self.original.token_ids[cursor:], token_type_ids + self.original.token_type_ids[cursor:]

    def masks(self) -> list[int]:
        """Where the changed words are among the token ids that `encode` returns."""
        shift = 0
        out = []
        for changed, _ in self.changed_words():
            word = self.original.words[changed]
            out.append(word.first_token - shift)
            shift += word.last_token - word.first_token
        return out

    def scripts(self) -> list[str]:
        """The script of the words at each position."""
        return [self.original.words[self.original.units[position][0]].script for position in self.positions]

    def old_token_ids(self, token_ids: Callable[[str], Mapping[str, int]]) -> list[int]:
        """The token that each changed word was, −1 for a word of several tokens.

        Args:
            token_ids: of a script the token ids of its words by their text. In byte-level vocabularies a text's first
                word has another token than the same word further on, which must not replace it.
        """
        out = []
        for changed, _ in self.changed_words():
            word = self.original.words[changed]
            single = self.original.token_ids[word.first_token] if word.first_token == word.last_token else -1
            out.append(token_ids(word.script).get(self.original.word_text(word), single))
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
    length = len(original.units)
    log_p = distances(length)
    if not np.isfinite(log_p).any():
        return None
    distance = draw_distance(log_p, rng.random())
    positions = sorted(rng.choice(length, size=distance, replace=False).tolist())
    return Neighbour(
        original,
        sample,
        positions,
        quantiles=rng.random(distance).tolist(),
        log_p_distance=float(log_p[distance]),
        log_p_positions=-float(log_choose(length, distance)),
    )
