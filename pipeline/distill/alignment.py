"""The map between two tokenizations of a text, and pooling by it: what student and teacher with unlike tokens compare.

What is compared is a *unit*: the tokens of both that cover the same characters. Units are the finest segmentation that
both tokenizations share, the connected groups of overlapping spans. Where both cut alike, a unit is one token of each;
elsewhere it is a word, or a part of one, with several pieces of one or of both. Only spans count, not ids or strings:

- Whitespace at the ends of a span is ignored: byte-level BPE and SentencePiece begin a word with the space before it.
  So a token of whitespace alone, or of no characters, belongs to the token after it.
- Tokens with the same span, such as the bytes of an emoji, are one unit.
- A token is left out if the other tokenizer has dropped its characters, or if the other's text was cut within it at
  max_length: a word of which one side reads a part is not compared.
- Special tokens are compared by role: before the first text, between the texts, at the end. Where both tokenizers have
  as many of a role, they go one to one; else the role is one unit: the two separators `</s></s>` and one `[SEP]`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt
import torch
from torch import einsum
from transformers import BatchEncoding, PreTrainedTokenizerFast

from pipeline.compute.batching import Call, Ragged, Rows, pad, row_starts, tokenize
from pipeline.models.forward import States

LEFT_OUT = -1
"""The unit of a token that is compared with nothing."""
PARTS = 5
"""Parts of a text or pair: special tokens, the first text, special tokens, the second text, special tokens."""
ROLE = 8
"""Characters that stand for the special tokens of a part; no tokenizer has as many in one."""
SPACE = np.array([chr(code).isspace() for code in range(0x3002)])
"""Whether a character is whitespace, by its code; none after U+3000 is."""


@dataclass(frozen=True)
class Units(Ragged):
    """The unit of each token of many texts, as one of two tokenizers cuts them: 0, 1, 2 and so on, or `LEFT_OUT`."""

    def batch(self, rows: Rows) -> tuple[torch.Tensor, torch.Tensor]:
        """The units of these texts' tokens, padded with `LEFT_OUT`, and the tokens' mask: (rows, tokens) both."""
        return pad([self[row] for row in rows], LEFT_OUT)


@dataclass(frozen=True)
class Alignment:
    """The units of the same texts in the student's tokens and in the teacher's."""

    student: Units
    teacher: Units

    def pool(self, rows: Rows, student: States, teacher: States) -> tuple[States, States, torch.Tensor]:
        """Pool the states of both models' own tokens into those of units.

        Args:
            rows: the texts that were read.

        Returns the student's, the teacher's, and the units' mask, (rows, units), 1 where there is a unit.
        """
        student_units, teacher_units = self.student.batch(rows), self.teacher.batch(rows)
        counts = student_units[0].amax(1) + 1
        mask = (torch.arange(int(counts.max())) < counts[:, None]).long().to(student.logits.device)
        return _pool(student, *student_units, mask.shape[1]), _pool(teacher, *teacher_units, mask.shape[1]), mask


def _pool(states: States, units: torch.Tensor, mask: torch.Tensor, most: int) -> States:
    """Pool the states of tokens into those of units; empty ones are kept, and all if each token is a unit.

    Vectors are averaged over a unit's tokens. Attention is summed over the key's tokens and averaged over the query's:
    it is what a unit pays to a unit. Its rows are then divided by their sums, so that they are probabilities over what
    is compared: from what goes to tokens that only one model reads, there is nothing to learn. Scores are averaged over
    both: the mean of the products of queries and keys is the product of the mean query and the mean key.

    Args:
        units, mask: the tokens' units, and 1 where there is a token, (texts, tokens).
        most: units of the text that has most.
    """
    if torch.equal(units, torch.where(mask == 1, torch.arange(units.shape[1]), LEFT_OUT)):
        return states
    device = states.logits.device
    pieces = (units.to(device)[:, None, :] == torch.arange(most, device=device)[:, None]).float()
    mean = pieces / pieces.sum(-1, keepdim=True).clamp_min(1)

    # Letters: b texts, u and v units, q and k tokens, h heads, w width.
    def vectors(tokens: torch.Tensor) -> torch.Tensor:
        return einsum("buq,b...qw->b...uw", mean, tokens.float()) if tokens.numel() else tokens

    def pairs(tokens: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        return einsum("buq,bhqv->bhuv", mean, einsum("bvk,bhqk->bhqv", keys, tokens.float()))

    attention = states.attention
    if attention.numel():
        attention = pairs(attention, pieces)
        attention = attention / attention.sum(-1, keepdim=True).clamp_min(torch.finfo(attention.dtype).tiny)
    return States(
        logits=states.logits,
        hidden=vectors(states.hidden),
        attention=attention,
        queries=vectors(states.queries),
        keys=vectors(states.keys),
        values=vectors(states.values),
        layers=tuple(vectors(layer) for layer in states.layers),
        scores=tuple(pairs(layer, mean) for layer in states.scores),
    )


def align(
    student: PreTrainedTokenizerFast, teacher: PreTrainedTokenizerFast, parts: Iterable[Call], max_length: int
) -> Alignment:
    """Find the units of texts or pairs, which either tokenizer cuts at `max_length` tokens."""
    values: list[list[npt.NDArray[np.signedinteger]]] = [[], []]
    lengths: list[list[Rows]] = [[], []]
    for texts, pairs in parts:
        special = np.array([_special_tokens(tokenizer, paired=pairs is not None) for tokenizer in (student, teacher)])
        bases, solid = _axis(texts, pairs)
        tokens = []
        for tokenizer, counts in zip((student, teacher), special, strict=True):
            encoding = tokenize(tokenizer, texts, pairs, max_length, return_offsets_mapping=True)
            one_to_one, left = special[0] == special[1], tokenizer.truncation_side == "left"
            tokens.append(_tokens(encoding, counts, one_to_one, bases, solid, max_length, cuts_beginnings=left))
        for side, found in enumerate(_units(*tokens)):
            values[side].append(found.astype(np.int16 if max_length < 2**15 else np.int32))
            lengths[side].append(tokens[side].lengths)
    student_units, teacher_units = (
        Units(np.concatenate(values[side]), row_starts(np.concatenate(lengths[side]))) for side in (0, 1)
    )
    return Alignment(student_units, teacher_units)


def _special_tokens(tokenizer: PreTrainedTokenizerFast, *, paired: bool) -> list[int]:
    """Number of special tokens before, between and after the texts."""
    # A special token is a token of any vocabulary; in a text it counts as one of the text.
    text = str(tokenizer.pad_token)
    sequences = tokenizer(text, text if paired else None).sequence_ids(0)
    before, after = sequences.index(0), sequences[::-1].index(int(paired))
    return [before, sequences.count(None) - before - after, after]


def _axis(texts: list[str], pairs: list[str] | None) -> tuple[Rows, Rows]:
    """Put all characters of some texts on one axis, with `ROLE` more where special tokens are.

    Returns the position of each part, (texts, `PARTS`), and the positions that are not whitespace.
    """
    special, seconds = "-" * ROLE, pairs or [""] * len(texts)
    parts = [(special, first, special, second, special) for first, second in zip(texts, seconds, strict=True)]
    lengths = np.array([[len(part) for part in row] for row in parts], dtype=np.int64)
    codes = np.frombuffer("".join(chain.from_iterable(parts)).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    bases = np.cumsum(lengths).reshape(lengths.shape) - lengths
    return bases, np.flatnonzero(~SPACE[np.minimum(codes, len(SPACE) - 1)])


@dataclass(frozen=True)
class _Tokens:
    """The tokens of some texts, on the axis of `_axis`."""

    starts: Rows
    ends: Rows
    parts: Rows
    """The part each is in, numbered through all texts."""
    begun: npt.NDArray[np.float64]
    """Where reading of each part began, (texts × `PARTS`,): -infinite, unless the text's beginning may be cut off."""
    read: npt.NDArray[np.float64]
    """How far each part was read, (texts × `PARTS`,): infinite, unless the text's end may be cut off."""
    lengths: Rows
    """Number of tokens of each text, (texts,)."""


def _tokens(
    encoding: BatchEncoding,
    special: npt.NDArray[np.int64],
    one_to_one: npt.NDArray[np.bool_],
    bases: Rows,
    solid: Rows,
    max_length: int,
    *,
    cuts_beginnings: bool,
) -> _Tokens:
    """Put the tokens of some texts on the axis.

    Args:
        special: number of special tokens before, between and after the texts, (3,).
        one_to_one: whether each of these is compared one to one, or all together, (3,).
        bases, solid: see `_axis`.
        cuts_beginnings: whether the tokenizer cuts off beginnings of texts, not ends.
    """
    counts = np.zeros(bases.shape, dtype=np.int64)
    counts[:, ::2] = special
    sequences = [text.sequence_ids for text in encoding.encodings or []]
    counts[:, 1::2] = [[ids.count(0), ids.count(1)] for ids in sequences]
    parts = np.repeat(np.arange(counts.size), counts.ravel())
    flat = chain.from_iterable(chain.from_iterable(encoding["offset_mapping"]))
    offsets = np.fromiter(flat, dtype=np.int64).reshape(-1, 2)
    # Special tokens have no characters: each gets one, or all of a part get the same.
    index = np.arange(len(parts)) - np.repeat(counts.cumsum() - counts.ravel(), counts.ravel())
    for part, apart in zip((0, 2, 4), one_to_one, strict=True):
        here = parts % PARTS == part
        offsets[here] = np.stack([index[here], index[here] + 1], axis=1) if apart else [0, ROLE]
    starts, ends = offsets.T + bases.ravel()[parts]
    starts, ends = solid[np.searchsorted(solid, starts)], solid[np.searchsorted(solid, ends) - 1] + 1
    # A token of whitespace alone has the span of the next one that has more, or none if the text has no such token.
    visible = np.flatnonzero(ends > starts)
    following = np.append(visible, len(starts) - 1)[np.searchsorted(visible, np.arange(len(starts)))]
    starts, ends = starts[following], np.where(parts[following] == parts, ends[following], 0)
    lengths = counts.sum(1)
    begun, read = np.full(counts.size, np.inf), np.zeros(counts.size)
    np.minimum.at(begun, parts, np.where(ends > starts, starts, np.inf))
    np.maximum.at(read, parts, ends)
    whole = np.repeat(lengths < max_length, PARTS)
    begun[whole | (not cuts_beginnings)] = -np.inf
    read[whole | cuts_beginnings] = np.inf
    return _Tokens(starts, ends, parts, begun, read, lengths)


def _units(student: _Tokens, teacher: _Tokens) -> tuple[Rows, Rows]:
    """The unit of each of the student's tokens and of the teacher's, `LEFT_OUT` for those that have none."""
    starts, ends, parts = (
        np.concatenate([getattr(side, name) for side in (student, teacher)]) for name in ("starts", "ends", "parts")
    )
    is_student = np.arange(len(starts)) < len(student.starts)
    order = np.flatnonzero(ends > starts)
    order = order[np.argsort(starts[order], kind="stable")]
    # A group of overlapping spans ends where the next one starts after all ends so far.
    reach = np.maximum.accumulate(ends[order])
    is_first = np.ones(len(order), dtype=np.bool_)
    is_first[1:] = starts[order][1:] >= reach[:-1]
    is_last = np.ones(len(order), dtype=np.bool_)
    is_last[:-1] = is_first[1:]
    group, end, part = is_first.cumsum() - 1, reach[is_last], parts[order][is_first]
    tokens = np.bincount(group, minlength=len(end))
    student_tokens = np.bincount(group[is_student[order]], minlength=len(end))
    shared = (student_tokens > 0) & (student_tokens < tokens)
    shared &= starts[order][is_first] >= np.maximum(student.begun, teacher.begun)[part]
    shared &= end <= np.minimum(student.read, teacher.read)[part]
    # Numbered from 0 in each text.
    per_text = np.bincount(part[shared] // PARTS, minlength=len(student.lengths))
    number = shared.cumsum() - 1 - (per_text.cumsum() - per_text)[part // PARTS]
    units = np.full(len(starts), LEFT_OUT)
    units[order] = np.where(shared, number, LEFT_OUT)[group]
    return units[is_student], units[~is_student]
