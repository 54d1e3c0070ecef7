"""CBERT: a masked language model that knows the label, in the place of the segment (Wu et al. 2019)."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.augment.originals import Original
from pipeline.compute import distributed
from pipeline.compute.batching import length_batches, padded
from pipeline.compute.progress import track
from pipeline.data.texts import Texts
from pipeline.errors import InputError
from pipeline.models.forward_shortcuts import head_only_at
from pipeline.params.models import Fit
from pipeline.training.optimizer import adamw, warm_up_and_decay

SHARE = 0.15
"""Chance that a word is masked, in training and in sampling."""
EPOCHS, LEARNING_RATE = 10, 5e-5
BINS = 5
"""A number's label is which fifth of the training texts' numbers it lies in: the paper has classes alone."""


class Labels:
    """What stands in a segment's place: the number of a label, the same on both texts of a pair."""

    def __init__(self, texts: Texts) -> None:
        self.names = texts.names
        self.edges = [] if texts.names else np.unique(np.quantile(texts.labels, np.arange(1, BINS) / BINS)).tolist()
        self.count = len(self.names) or len(self.edges) + 1

    def of(self, label: str | float | None) -> int:
        """The number of a label; the first for a class that the target does not have."""
        if self.names:
            return self.names.index(str(label)) if label in self.names else 0
        return int(np.searchsorted(self.edges, float(label or 0.0), side="right"))

    def conditioned(self, originals: Sequence[Original]) -> list[Original]:
        """Originals whose types are their labels."""
        return [replace(each, types=[self.of(each.label)] * len(each.types)) for each in originals]


def label_conditioned(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, originals: Sequence[Original], labels: Labels, seed: int
) -> PreTrainedModel:
    """Fine-tune a masked language model in place on conditioned originals, its segment embedding now one of labels.

    Raises InputError if the model has no segments.
    """
    place = distributed.device()
    _embed_labels(model, labels.count, seed)
    fit = Fit(batch_size=32, learning_rate=LEARNING_RATE, warmup=0.1, weight_decay=0.01)
    draw = np.random.default_rng(seed)
    rows = [each for each in originals if each.words]
    lengths = np.array([len(each.pieces) for each in rows])
    model.to(place).train()
    optimizer = adamw(model, fit)
    schedule = warm_up_and_decay(optimizer, EPOCHS * math.ceil(len(rows) / fit.batch_size), fit.warmup)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for epoch in range(1, EPOCHS + 1):
            for batch in track(length_batches(lengths, size=fit.batch_size, rng=draw), f"cbert {epoch}/{EPOCHS}"):
                chosen = [rows[i] for i in batch]
                tokens, attention = padded([each.pieces for each in chosen], tokenizer.pad_token_id)
                types, _ = padded([each.types for each in chosen], 0)
                masked = torch.zeros_like(tokens, dtype=torch.bool)
                for row, each in enumerate(chosen):
                    picked = draw.random(len(each.words)) < SHARE
                    picked[draw.integers(len(each.words))] |= not picked.any()
                    for word in np.array(each.words, dtype=object)[picked]:
                        masked[row, word.first : word.last + 1] = True
                inputs = {"input_ids": tokens.masked_fill(masked, tokenizer.mask_token_id)}
                inputs |= {"attention_mask": attention, "token_type_ids": types}
                with head_only_at(model, masked.to(place)):
                    logits = model(**{name: tensor.to(place) for name, tensor in inputs.items()}).logits
                optimizer.zero_grad()
                torch.autograd.backward(cross_entropy(logits, tokens[masked].to(place)))
                optimizer.step()
                schedule.step()
    return model.eval()


def _embed_labels(model: PreTrainedModel, count: int, seed: int) -> None:
    """Give every label a segment embedding: those there are, and for the rest their mean and a little noise."""
    name, table = next(
        ((name, part) for name, part in model.named_modules() if name.endswith("token_type_embeddings")), ("", None)
    )
    if not isinstance(table, torch.nn.Embedding) or table.num_embeddings < 2:
        raise InputError(
            "augment.method: cbert needs a masked language model with segments, such as bert-base-uncased; "
            f"generator.model is a {model.config.model_type}"
        )
    if count <= table.num_embeddings:
        return
    old = table.weight.detach()
    noise = torch.randn(count, old.shape[1], generator=torch.Generator().manual_seed(seed)) * old.std()
    grown = torch.nn.Embedding(count, old.shape[1])
    with torch.no_grad():
        grown.weight.copy_(old.mean(0) + noise)
        grown.weight[: len(old)] = old
    parent = model.get_submodule(name.rpartition(".")[0])
    setattr(parent, name.rpartition(".")[2], grown)
    model.config.type_vocab_size = count
