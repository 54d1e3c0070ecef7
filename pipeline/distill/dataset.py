"""What the student learns from: originals and neighbours, encoded once, with what the teacher said of each."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedTokenizerFast

from pipeline.augment.shards import check_task, read_augmented
from pipeline.compute.batching import Encoded, collate, encode
from pipeline.data.texts import DOMAINS, read_texts, second_texts
from pipeline.distill.teacher_cache import TeacherCache
from pipeline.errors import InputError
from pipeline.params.objectives import BY_TOKEN
from pipeline.params.schema import Params


@dataclass(frozen=True)
class DistillationDataset:
    """All texts of the loop, one row each; `neighbour` tells those the selector may drop."""

    ids: list[str]
    domains: npt.NDArray[np.str_]
    neighbour: npt.NDArray[np.bool_]
    labels: torch.Tensor
    log_p: torch.Tensor
    tokenizer: PreTrainedTokenizerFast
    encoded: Encoded
    cache: TeacherCache
    cached: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    def inputs(self, rows: npt.NDArray[np.int64]) -> dict[str, torch.Tensor]:
        """Padded tensors for a model."""
        return collate(self.encoded, rows)

    def teacher_logits(self, rows: npt.NDArray[np.int64]) -> torch.Tensor:
        """(rows, labels)."""
        return torch.from_numpy(self.cache.logits[self.cached[rows]])


def read_dataset(
    params: Params, *, prepared: Path, augmented: Path, cache: Path, tokenizer: PreTrainedTokenizerFast
) -> DistillationDataset:
    """Read neighbours of both domains and the originals of `distill.originals`, and find each in the cache.

    Raises InputError if the cache lacks what the objectives need, before anything is trained.
    """
    teacher = TeacherCache(cache)
    for kind, (key, off) in params.needs().items():
        if kind not in teacher.kinds:
            raise InputError(
                f"{key}: it needs the teacher's {kind}, but {cache} was made without; "
                f"accepted: {key}: {off}, or cache.{kind}: true and the cache_teacher stage again"
            )
    table = read_augmented(augmented, ["id", "domain", "text", "text_pair", "label", "log_p"])
    ids, domains, texts = (table[name].to_pylist() for name in ("id", "domain", "text"))
    pairs, labels = table["text_pair"].to_pylist(), table["label"].to_pylist()
    neighbours, paired = len(ids), second_texts(pairs, augmented) is not None
    names: list[str] = []
    for domain in DOMAINS:
        originals = read_texts(prepared / DOMAINS[domain])
        names = originals.names
        if neighbours and len(originals) and paired != (originals.pairs is not None):
            kinds = ("pairs", "single texts") if paired else ("single texts", "pairs")
            raise InputError(
                f"{augmented}: its rows are {kinds[0]}, those of {prepared} are {kinds[1]}; run the augment stage again"
            )
        if domain in params.distill.originals:
            ids += originals.ids
            domains += [domain] * len(originals)
            texts += originals.texts
            pairs += originals.pairs if originals.pairs is not None else [None] * len(originals)
            labels += [names[label] for label in originals.labels] if names else originals.labels.tolist()
    check_task(augmented, table["label"].type, names, prepared)
    if not ids:
        raise InputError(
            f"{augmented}: no neighbours, and distill.originals is {params.distill.originals}; "
            "accepted: neighbours, or originals of at least one domain"
        )
    standard = np.zeros(len(ids), dtype=np.float32)
    if neighbours:
        log_p = np.asarray(table["log_p"].to_numpy(), dtype=np.float64)
        # Rules have no P_s: nothing is known of how likely their samples are.
        if np.isfinite(log_p).all():
            standard[:neighbours] = (log_p - log_p.mean()) / (log_p.std() or 1.0)
    encoded = encode(tokenizer, texts, second_texts(pairs, augmented), params.max_length)
    cached = teacher.rows(ids)
    teacher.check_texts(cached, ids, texts, pairs)
    if params.objectives.on(BY_TOKEN):
        unlike = (teacher.tokens[cached] != encoded.lengths).nonzero()[0]
        if len(unlike):
            raise InputError(
                f"{ids[unlike[0]]}: the student reads {encoded.lengths[unlike[0]]} pieces where the teacher read "
                f"{teacher.tokens[cached][unlike[0]]}; accepted: one tokenizer and one max_length for both"
            )
    return DistillationDataset(
        ids=ids,
        domains=np.array(domains),
        neighbour=np.arange(len(ids)) < neighbours,
        labels=_labels(labels, names, teacher.logits[cached]),
        log_p=torch.from_numpy(standard),
        tokenizer=tokenizer,
        encoded=encoded,
        cache=teacher,
        cached=cached,
    )


def _labels(given: list[str] | list[float], names: list[str], logits: npt.NDArray[np.float32]) -> torch.Tensor:
    """Labels for the state and `hard`; where the target lacks a source class, what the teacher takes the text for."""
    if not names:
        return torch.tensor(given, dtype=torch.float32)
    index = {name: i for i, name in enumerate(names)}
    guesses = logits.argmax(1).tolist() if logits.shape[1] else [0] * len(given)
    return torch.tensor([index.get(str(label), guess) for label, guess in zip(given, guesses, strict=True)])
