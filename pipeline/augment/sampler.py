"""Eq. 10: neighbours z ~ P_s(z|x) of a text: how many words change, which, and into what."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline import models
from pipeline.augment.distance import draw_distance, log_choose, log_p_distance
from pipeline.augment.originals import Original
from pipeline.augment.words import draw_words, log_p_words, piece_text, whole_words
from pipeline.batching import length_batches, padded
from pipeline.errors import InputError
from pipeline.params import Params

BATCH_TOKENS = 2048
"""Pieces in one pass: what bounds the memory, most of which is the vocabulary's logits at the masks."""
REDRAWS = 10
"""How often a neighbour that stands already among its original's is drawn anew."""


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


def draw(original: Original, sample: int, attempt: int, params: Params, vocabulary: int) -> Neighbour | None:
    """Draw distance (Eq. 11) and positions of one neighbour, and the quantiles its words will be drawn at.

    Depends on the seed, the original's id, the sample number and the attempt, on nothing else. None if the text has
    fewer words than `augment.min_distance`.
    """
    key = blake2b(f"{params.seed}/{original.id}/{sample}/{attempt}".encode(), digest_size=16).digest()
    chance = np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))
    length = len(original.words)
    log_p = log_p_distance(
        length,
        alpha=params.alpha,
        vocabulary=vocabulary,
        count=params.augment.count,
        least=params.augment.min_distance,
    )
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


class Filler:
    """Fills masks with words (Eq. 12): the masked language model, its vocabulary and how it is asked."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, params: Params) -> None:
        self.place = models.device()
        self.model = model.eval().to(self.place)
        self.tokenizer = tokenizer
        self.temperature = params.temperature
        self.sequential = params.augment.fill == "sequential"
        self.allowed = whole_words(tokenizer).to(self.place)
        self.whole = {piece_text(tokenizer, piece): piece for piece in self.allowed.nonzero().squeeze(1).tolist()}

    def fill(self, drafts: Sequence[Neighbour]) -> None:
        """Write words and their log-probability into neighbours whose positions are drawn."""
        batches = length_batches(np.array([len(draft.pieces(0)[0]) for draft in drafts]), tokens=BATCH_TOKENS)
        for batch in batches:
            chosen = [drafts[i] for i in batch]
            steps = max(len(draft.positions) for draft in chosen) if self.sequential else 1
            for step in range(steps):
                open_masks = [draft for draft in chosen if len(draft.positions) > step]
                if open_masks:
                    self._pass(open_masks, slice(step, step + 1) if self.sequential else slice(None))

    @torch.inference_mode()
    def _pass(self, drafts: Sequence[Neighbour], which: slice) -> None:
        """One forward pass; the masks that `which` picks of each neighbour get their words."""
        pieces = [draft.pieces(self.tokenizer.mask_token_id) for draft in drafts]
        tokens, attention = padded([row for row, _ in pieces], self.tokenizer.pad_token_id)
        inputs = {"input_ids": tokens, "attention_mask": attention}
        if "token_type_ids" in self.tokenizer.model_input_names:
            inputs["token_type_ids"] = padded([types for _, types in pieces], 0)[0]
        masked = torch.zeros_like(tokens, dtype=torch.bool)
        for row, draft in enumerate(drafts):
            masked[row, draft.masks()[which]] = True
        with models.head_only_at(self.model, masked.to(self.place)):
            logits = self.model(**{name: tensor.to(self.place) for name, tensor in inputs.items()}).logits
        old = torch.tensor([piece for draft in drafts for piece in draft.old(self.whole)[which]], device=self.place)
        log_p = log_p_words(logits, temperature=self.temperature, allowed=self.allowed, old=old)
        if log_p.isnan().any():
            raise InputError("generator: its outputs are no numbers; accepted: a masked language model that works")
        quantiles = torch.tensor([q for draft in drafts for q in draft.quantiles[which]], device=self.place)
        words = draw_words(self._without_taken(log_p, drafts, which), quantiles)
        chances = log_p.gather(1, words.unsqueeze(1)).squeeze(1).double().cpu()
        drawn = iter(zip(words.tolist(), chances.tolist(), strict=True))
        for draft in drafts:
            for _ in draft.positions[which]:
                word, chance = next(drawn)
                draft.words.append(word)
                draft.log_p_words += chance

    def _without_taken(self, log_p: torch.Tensor, drafts: Sequence[Neighbour], which: slice) -> torch.Tensor:
        """The distributions with no chance for a draft's `taken` at its last mask; as they are if that leaves none."""
        row = -1
        out = log_p
        for draft in drafts:
            open_masks = range(len(draft.positions))[which]
            row += len(open_masks)
            if draft.taken and open_masks[-1] == len(draft.positions) - 1:
                left = log_p[row].index_fill(0, torch.tensor(sorted(draft.taken), device=self.place), -torch.inf)
                if left.isfinite().any():
                    out = log_p.clone() if out is log_p else out
                    out[row] = left.log_softmax(0)
        return out


def sample_neighbours(
    originals: Sequence[Original], samples: int, filler: Filler, params: Params
) -> tuple[list[dict[str, object]], dict[str, int]]:
    """Draw `samples` neighbours of each original, distinct wherever the distribution allows it.

    What repeats another is drawn anew, up to ten times; then its last word is drawn from those that are not taken.

    Returns the rows of `augmented`, in the order of originals and samples, and counts: `not_distinct`, neighbours
    that repeat another of the same original, and `too_short`, originals without words enough to change.
    """
    vocabulary = len(filler.tokenizer)
    wanted = [(original, sample) for original in originals for sample in range(1, samples + 1)]
    first = [draw(original, sample, 0, params, vocabulary) for original, sample in wanted]
    drafts = [draft for draft in first if draft is not None]
    filler.fill(drafts)
    for attempt in range(1, REDRAWS + 1):
        again = [
            (i, redrawn)
            for i in _repeated(drafts)
            if (redrawn := draw(drafts[i].original, drafts[i].sample, attempt, params, vocabulary)) is not None
        ]
        if not again:
            break
        filler.fill([redrawn for _, redrawn in again])
        for i, redrawn in again:
            drafts[i] = redrawn
    tried: set[int] = set()
    while freed := _with_last_word_free(drafts, tried):
        filler.fill(list(freed.values()))
        tried |= freed.keys()
        for i, draft in freed.items():
            drafts[i] = draft
    counts = {
        "not_distinct": sum(1 for _ in _repeated(drafts)),
        "too_short": len({id(o) for (o, _), draft in zip(wanted, first, strict=True) if draft is None}),
    }
    return [_row(draft, filler.tokenizer) for draft in drafts], counts


def _with_last_word_free(drafts: Sequence[Neighbour], tried: set[int]) -> dict[int, Neighbour]:
    """One repeated neighbour of each original, by its place: its words to be drawn again, the last as no other's."""
    chosen = {drafts[i].original.id: i for i in _repeated(drafts) if drafts[i].positions and i not in tried}
    alike: dict[tuple[str, tuple[int, ...], tuple[int, ...]], set[int]] = {}
    for draft in drafts:
        if draft.original.id in chosen and draft.positions:
            alike.setdefault(_all_but_last(draft), set()).add(draft.words[-1])
    return {
        i: replace(drafts[i], words=[], log_p_words=0.0, taken=alike[_all_but_last(drafts[i])]) for i in chosen.values()
    }


def _all_but_last(draft: Neighbour) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    return draft.original.id, tuple(draft.positions), tuple(draft.words[:-1])


def _repeated(drafts: Sequence[Neighbour]) -> Iterator[int]:
    """Neighbours that equal an earlier one of the same original."""
    seen = set()
    for i, draft in enumerate(drafts):
        key = (draft.original.id, tuple(draft.positions), tuple(draft.words))
        if key in seen:
            yield i
        seen.add(key)


def _row(neighbour: Neighbour, tokenizer: PreTrainedTokenizerFast) -> dict[str, object]:
    original = neighbour.original
    new = [piece_text(tokenizer, word) for word in neighbour.words]
    texts = original.replaced(neighbour.positions, new)
    parts = (neighbour.log_p_distance, neighbour.log_p_positions, neighbour.log_p_words)
    return {
        "id": f"{original.id}-{neighbour.sample:03d}",
        "original_id": original.id,
        "text": texts[0],
        "text_pair": texts[1] if len(texts) > 1 else None,
        "original_text": original.texts[0],
        "original_text_pair": original.texts[1] if len(texts) > 1 else None,
        "label": original.label,
        "distance": len(neighbour.positions),
        "length": len(original.words),
        "positions": neighbour.positions,
        "old_words": [original.written(original.words[position]) for position in neighbour.positions],
        "new_words": new,
        "log_p_distance": parts[0],
        "log_p_positions": parts[1],
        "log_p_words": parts[2],
        "log_p": math.fsum(parts),
    }
