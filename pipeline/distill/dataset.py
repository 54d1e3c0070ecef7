"""What the student is trained on: neighbours and originals, tokenized once, each with the teacher's cached outputs."""

import logging
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch
from transformers import PreTrainedTokenizerFast

from pipeline.augment.shards import check_task, read_augmented, shards
from pipeline.compute.batching import Call, Encoded, calls, collate, encode_calls
from pipeline.data.texts import DOMAINS, are_pairs, read_texts
from pipeline.distill.alignment import LEFT_OUT, Alignment, align
from pipeline.distill.teacher_cache import TeacherCache
from pipeline.errors import InputError
from pipeline.models.label_scale import UNSCALED, LabelScale
from pipeline.models.vocabulary import same_vocabulary
from pipeline.params.distill import Distill
from pipeline.params.schema import Params
from pipeline.storage.parquet import scan

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DistillationDataset:
    """All texts of the loop, one row each: first the neighbours, then the originals."""

    neighbours: int
    """How many of the rows they are."""
    ids: pa.Array
    """Strings, (rows,)."""
    domains: pa.Array
    """`source`, `target` or `unlabelled`, (rows,)."""
    droppable: npt.NDArray[np.bool_]
    """Whether the selector may drop the row, (rows,): neighbours; with `selector.originals` all but labelled texts of
    the target."""
    labels: torch.Tensor
    """Class indices or numbers, (rows,): a neighbour has the label of its original, a text without a label, or with one
    that the target lacks, what the teacher predicts. Numbers are on the scale `scale`."""
    log_p: torch.Tensor
    """log P_s(z|x), standardised over all neighbours; 0 for originals, which were not drawn from it, (rows,)."""
    tokenizer: PreTrainedTokenizerFast
    encoded: Encoded
    cache: TeacherCache
    cache_rows: npt.NDArray[np.int64]
    """Each row's row in the teacher's cache, (rows,)."""
    alignment: Alignment | None = None
    """What is compared of student and teacher; None if they have the same tokens or compare no states."""
    teacher_encoded: Encoded | None = None
    """The teacher's tokens, if it runs beside the student and they are not the student's."""
    scale: LabelScale = UNSCALED
    """By which numbers are standardised: that of the target's training labels."""

    def __len__(self) -> int:
        return len(self.ids)

    def droppable_by_domain(self) -> dict[str, npt.NDArray[np.bool_]]:
        """By domain, the rows of it that the selector may drop: each (rows,)."""
        masks = {domain: np.asarray(pc.equal(self.domains, domain)) & self.droppable for domain in sorted(DOMAINS)}
        return {domain: mask for domain, mask in masks.items() if mask.any()}

    def inputs(self, rows: npt.NDArray[np.int64], device: torch.device | None = None) -> dict[str, torch.Tensor]:
        """Padded tensors for a model."""
        return collate(self.encoded, rows, device)

    def teacher_logits(self, rows: npt.NDArray[np.int64]) -> torch.Tensor:
        """Logits, or standardised numbers, (rows, labels)."""
        return torch.from_numpy(self.scale.standardised(self.cache.logits[self.cache_rows[rows]]))


def count_epochs(texts: int, params: Distill) -> tuple[int, int]:
    """Number of epochs, and of batches in each, over so many texts.

    Few texts take more epochs than `epochs`, until there are `least_steps` batches; `states_first` takes at least two.
    """
    batches = math.ceil(texts / params.batch_size)
    return max(params.epochs, math.ceil(params.least_steps / batches), 2 if params.states_first else 1), batches


def read_dataset(
    params: Params,
    *,
    prepared: Path,
    augmented: Path,
    cache: Path,
    tokenizer: PreTrainedTokenizerFast,
    teacher_tokenizer: PreTrainedTokenizerFast,
) -> DistillationDataset:
    """Read the neighbours of all domains and the originals of `distill.originals`, and find each in the cache.

    Args:
        tokenizer, teacher_tokenizer: the student's and the teacher's; if they differ and states are compared, the texts
            are aligned.

    Raises InputError if the cache lacks what the losses or the selector read, or belongs to other texts.
    """
    teacher_cache = TeacherCache(cache)
    for kind, (key, off) in params.cache_needs().items():
        if kind not in teacher_cache.kinds:
            raise InputError(
                f"{key}: it needs the teacher's {kind}, which {cache} does not contain; "
                f"accepted: {key}: {off}, or cache.{kind}: true and the cache_teacher stage again"
            )
    # All but the texts: wherever they are needed they are read anew, a few at a time.
    table = read_augmented(augmented, ["id", "domain", "label", "log_p"])
    neighbours = len(table)
    target = read_texts(prepared / DOMAINS["target"])
    names, scale = target.names, LabelScale.of(target.labels, target.names)
    originals = {
        domain: read_texts(prepared / file) for domain, file in DOMAINS.items() if domain in params.distill.originals
    }
    paired = target.pairs is not None
    for texts in originals.values():
        if bool(texts.names) != bool(names) or (len(texts) and (texts.pairs is not None) != paired):
            raise InputError(
                f"{prepared}: its files are of several tasks, or of pairs and single texts; run the prepare stage again"
            )
    if neighbours and paired != _are_pairs(augmented):
        kinds = ("single texts", "pairs") if paired else ("pairs", "single texts")
        raise InputError(
            f"{augmented}: its rows are {kinds[0]}, those of {prepared} are {kinds[1]}; run the augment stage again"
        )
    check_task(augmented, table["label"].type, names, prepared)
    ids = _column(table["id"], (texts.ids for texts in originals.values()))
    if not len(ids):
        raise InputError(
            f"{augmented}: no neighbours, and distill.originals is {params.distill.originals}; "
            "accepted: neighbours, or originals of at least one domain"
        )
    table = table.drop_columns("id")
    # Before the texts are tokenized, because both take memory.
    cache_rows = teacher_cache.rows(ids)

    def parts() -> Iterator[Call]:
        for batch in scan(shards(augmented), ["text", "text_pair"], "augment"):
            yield batch["text"].to_pylist(), batch["text_pair"].to_pylist() if paired else None
        for texts in originals.values():
            yield from calls(texts.texts, texts.pairs)

    encoded = encode_calls(tokenizer, teacher_cache.checked(cache_rows, ids, parts()), params.max_length)
    alignment = teacher_encoded = None
    if params.objectives.reads().keys() - {"logits"}:
        same = same_vocabulary(tokenizer, teacher_tokenizer)
        if not same:
            alignment = align(tokenizer, teacher_tokenizer, parts(), params.max_length)
            share = (alignment.student.values != LEFT_OUT).mean()
            logger.info("two tokenizers: %.1f %% of the student's tokens are compared", 100 * share)
        teacher_lengths = encoded.lengths if alignment is None else alignment.teacher.lengths
        _check_lengths(ids, teacher_lengths, teacher_cache.tokens[cache_rows])
        # Even with one vocabulary only one of the models may have token types.
        same = same and tokenizer.model_input_names == teacher_tokenizer.model_input_names
        if not same and params.objectives.active(lambda objective: objective.live):
            teacher_encoded = encode_calls(teacher_tokenizer, parts(), params.max_length)
    domains = _column(table["domain"], ([domain] * len(texts) for domain, texts in originals.items()))
    log_p = np.zeros(len(ids), dtype=np.float32)
    if neighbours:
        log_p[:neighbours] = _standardised(np.asarray(table["log_p"].to_numpy(), dtype=np.float64))
    labels = _column(table["label"], (map(texts.label, range(len(texts))) for texts in originals.values()))
    return DistillationDataset(
        neighbours=neighbours,
        ids=ids,
        domains=domains,
        droppable=(np.arange(len(ids)) < neighbours)
        | (params.selector.originals & np.asarray(pc.not_equal(domains, "target"))),
        labels=scale.standardised(_label_tensor(labels, names, teacher_cache.logits[cache_rows])),
        log_p=torch.from_numpy(log_p),
        tokenizer=tokenizer,
        encoded=encoded,
        cache=teacher_cache,
        cache_rows=cache_rows,
        alignment=alignment,
        teacher_encoded=teacher_encoded,
        scale=scale,
    )


def _are_pairs(augmented: Path) -> bool:
    """Whether the neighbours are pairs. Raises InputError if only some are."""
    rows = seconds = 0
    for batch in scan(shards(augmented), ["text_pair"], "augment"):
        rows, seconds = rows + len(batch), seconds + len(batch) - batch["text_pair"].null_count
    return are_pairs(seconds, rows, augmented)


def _column(neighbours: pa.ChunkedArray, originals: Iterable[Iterable[Any]]) -> pa.Array:
    """A column of the neighbours' table with what the originals of each domain have there."""
    more = [pa.array(values, neighbours.type) for values in originals]
    return pa.chunked_array([*neighbours.chunks, *more], neighbours.type).combine_chunks()


def _check_lengths(ids: pa.Array, now: npt.NDArray[np.int64], cached: npt.NDArray[np.int64]) -> None:
    """Raise InputError naming the first text that the teacher's tokenizer cuts otherwise than when it was cached."""
    different = (cached != now).nonzero()[0]
    if len(different):
        row = different[0]
        raise InputError(
            f"teacher cache: {ids[row]} has {cached[row]} tokens in it, and {now[row]} with this max_length and the "
            "teacher's tokenizer; run the cache_teacher stage again"
        )


def _standardised(log_p: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Mean 0, standard deviation 1; zeros for rule-based augmentations, which have no P_s."""
    if not np.isfinite(log_p).all():
        return np.zeros(len(log_p))
    standardised: npt.NDArray[np.float64] = (log_p - log_p.mean()) / (log_p.std() or 1.0)
    return standardised


def _label_tensor(labels: pa.Array, names: list[str], logits: npt.NDArray[np.float32]) -> torch.Tensor:
    """Class indices, or numbers; of a source class that the target lacks, and without one, the teacher's prediction.

    Without logits it is 0: then nothing reads labels.
    """
    if not names:
        predicted = logits[:, 0] if logits.shape[1] else 0.0
        numbers = np.asarray(labels.fill_null(np.nan), dtype=np.float32)
        return torch.from_numpy(np.where(labels.is_null(), predicted, numbers).astype(np.float32))
    classes = pc.index_in(labels, pa.array(names))
    predicted = logits.argmax(1) if logits.shape[1] else 0
    return torch.from_numpy(np.where(classes.is_null(), predicted, classes.fill_null(0)).astype(np.int64))
