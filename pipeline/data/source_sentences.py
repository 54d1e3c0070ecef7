"""The sentences of the source's texts that the student is taught on, in place of the whole texts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.data.leaks import Row, leaked, normalise
from pipeline.data.sentences import sentences
from pipeline.data.splitting import sample, strata
from pipeline.data.texts import Texts
from pipeline.data.usable import counts
from pipeline.errors import InputError


@dataclass(frozen=True)
class Drawn:
    """The sentences drawn, and counts of all.

    Args:
        texts: each has its text's label, and its text's id with the number of the sentence: `source-000123.04`.
        read: sentences of the texts.
        dropped: by reason.
        unused: how many could be used and were not drawn.
    """

    texts: Texts
    read: int
    dropped: dict[str, int]
    unused: int


def draw_sentences(texts: Texts, held_out: Sequence[Row], count: int, seed: int) -> Drawn:
    """Draw sentences of single texts, stratified by label; which, depends on the seed and on their ids.

    Dropped are those that leak a held-out row, and those that differ from an earlier one in letter case and punctuation
    alone.

    Raises InputError naming `data.source.sentences` if there are fewer.
    """
    pieces = [(row, number, piece) for row, text in enumerate(texts.texts) for number, piece in _numbered(text)]
    normalised: list[Row] = [(normalise(piece),) for _, _, piece in pieces]
    repeated = pd.Series(normalised).duplicated().to_numpy()
    free = np.ones(len(pieces), dtype=np.bool_)
    dropped = {}
    for reason, mask in {"leaked": leaked(normalised, held_out), "duplicate": repeated}.items():
        dropped[reason] = int((mask & free).sum())
        free &= ~mask
    usable = np.flatnonzero(free)
    if count > len(usable):
        raise InputError(
            f"data.source.sentences: got {count:,}; {len(usable):,} of the {len(pieces):,} sentences of {len(texts):,} "
            f"texts can be used ({counts(dropped)}); accepted: at most as many"
        )
    labels = texts.labels[[pieces[i][0] for i in usable]]
    ids = [f"{texts.ids[pieces[i][0]]}.{pieces[i][1]:02d}" for i in usable]
    drawn = sample(strata(labels), ids, count, seed)
    return Drawn(
        Texts(
            ids=[ids[i] for i in drawn],
            texts=[pieces[usable[i]][2] for i in drawn],
            pairs=None,
            labels=labels[drawn],
            names=texts.names,
        ),
        read=len(pieces),
        dropped=dropped,
        unused=len(usable) - count,
    )


def _numbered(text: str) -> list[tuple[int, str]]:
    return list(enumerate(sentences(text), start=1))
