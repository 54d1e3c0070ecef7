"""CBERT: a masked language model conditioned on the label, which replaces the segment (Wu et al. 2019)."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.augment.distance import log_p_binomial
from pipeline.augment.filler import Filler, load_generator
from pipeline.augment.methods.interface import AugmentedRows, Draw, MethodInputs
from pipeline.augment.originals import Original, encode_rows
from pipeline.augment.sampler import sample_neighbours
from pipeline.compute import distributed
from pipeline.compute.batching import epoch_batches, pad
from pipeline.compute.precision import precision
from pipeline.data.texts import Texts
from pipeline.errors import InputError
from pipeline.models.forward_shortcuts import head_only_at
from pipeline.params.models import Fit
from pipeline.training.optimizer import TrainState, adamw, warm_up_and_decay
from pipeline.training.steps import remaining_batches

SHARE = 0.15
"""Probability that a word is masked, in training and in sampling."""
EPOCHS = 10
"""Epochs of fine-tuning on the target's training texts."""
LEARNING_RATE = 5e-5
"""The highest learning rate of fine-tuning."""
BINS = 5
"""In regression, where the paper has no classes, the label is the quintile of the number among the training texts'."""


def build(inputs: MethodInputs) -> Draw:
    """Load the generator, train it on the target's training texts and make the function that draws."""
    params, tokenizer, texts = inputs.params, inputs.tokenizer, inputs.training_texts
    model = load_generator(inputs.generator)
    labels = Labels(texts)
    training_originals = labels.condition(encode_rows(texts, range(len(texts)), tokenizer, params))
    model = fine_tune_on_labels(model, tokenizer, training_originals, labels, params.seed)
    filler = Filler(model, tokenizer, params)
    distances = partial(log_p_binomial, share=SHARE)

    def draw(originals: Sequence[Original], samples: int, *, offset: int) -> tuple[AugmentedRows, dict[str, int]]:
        return sample_neighbours(labels.condition(originals), samples, filler, distances, params.seed, offset=offset)

    return draw


class Labels:
    """The label index that replaces the segment index; it is the same on both texts of a pair."""

    def __init__(self, texts: Texts) -> None:
        self.names = texts.names
        self.edges = [] if texts.names else np.unique(np.quantile(texts.labels, np.arange(1, BINS) / BINS)).tolist()
        self.count = len(self.names) or len(self.edges) + 1

    def index(self, label: str | float | None) -> int:
        """The index of a label; 0 for a class that the target does not have."""
        if self.names:
            return self.names.index(str(label)) if label in self.names else 0
        return int(np.searchsorted(self.edges, float(label or 0.0), side="right"))

    def condition(self, originals: Sequence[Original]) -> list[Original]:
        """Originals with their label's index as the type of every token."""
        return [replace(each, token_type_ids=[self.index(each.label)] * len(each.token_type_ids)) for each in originals]


def fine_tune_on_labels(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, originals: Sequence[Original], labels: Labels, seed: int
) -> PreTrainedModel:
    """Fine-tune a masked language model in place on conditioned originals, its segment embedding now one of labels.

    Raises InputError if the model has no segments or the loss is not finite.
    """
    device = distributed.device()
    _embed_labels(model, labels.count, seed)
    fit = Fit(batch_size=32, learning_rate=LEARNING_RATE, warmup=0.1, weight_decay=0.01)
    originals = [original for original in originals if original.words]
    model.to(device).train()
    optimizer = adamw(model, fit)
    steps = EPOCHS * math.ceil(len(originals) / fit.batch_size)
    state = TrainState(model, optimizer, warm_up_and_decay(optimizer, steps, fit.warmup), f"{__name__}.LEARNING_RATE")
    batches = _masked_batches(originals, tokenizer, fit.batch_size, np.random.default_rng(seed))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for inputs, masked, targets in remaining_batches(
            state, batches, steps=steps, description="cbert", checkpoint=None
        ):
            with precision(device), head_only_at(model, masked.to(device)):
                logits = model(**{name: tensor.to(device) for name, tensor in inputs.items()}).logits
            state.step(cross_entropy(logits.float(), targets.to(device)))
    return model.eval()


def _masked_batches(
    originals: Sequence[Original], tokenizer: PreTrainedTokenizerFast, size: int, rng: np.random.Generator
) -> Iterator[tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor]]:
    """Endless batches with each word masked with probability SHARE, at least one of each original.

    Yields the model's inputs, which tokens are masked, (originals, longest), and the masked token ids, (masks,).
    """
    lengths = np.array([len(original.token_ids) for original in originals])
    while True:
        for rows in epoch_batches(lengths, size=size, rng=rng):
            batch = [originals[row] for row in rows]
            token_ids, attention_mask = pad([original.token_ids for original in batch], tokenizer.pad_token_id)
            token_type_ids, _ = pad([original.token_type_ids for original in batch], 0)
            masked = torch.zeros_like(token_ids, dtype=torch.bool)
            for row, original in enumerate(batch):
                picked = rng.random(len(original.words)) < SHARE
                picked[rng.integers(len(original.words))] |= not picked.any()
                for word in np.array(original.words, dtype=object)[picked]:
                    masked[row, word.first_token : word.last_token + 1] = True
            inputs = {
                "input_ids": token_ids.masked_fill(masked, tokenizer.mask_token_id),
                "attention_mask": attention_mask,
                "token_type_ids": token_type_ids,
            }
            yield inputs, masked, token_ids[masked]


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
