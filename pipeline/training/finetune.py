"""Fine-tuning on labels: one phase after the other, the weights that validate best kept."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy, mse_loss
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.compute import distributed
from pipeline.compute.batching import Encoded, Rows, collate, encode, length_batches
from pipeline.compute.precision import precision
from pipeline.compute.progress import track
from pipeline.data.texts import Texts
from pipeline.errors import InputError
from pipeline.evaluation.scoring import headline
from pipeline.evaluation.validation import Score, Validation
from pipeline.models.compatibility import check_ids, check_length
from pipeline.params.models import Fit
from pipeline.training.checkpoint import Checkpoint, Tensors, strip_prefix, with_prefix
from pipeline.training.optimizer import Training, adamw, warm_up_and_decay

Measured = dict[str, float]


@dataclass
class FitState:
    """Where fine-tuning stands: the next batch, what has been measured, and the best of it."""

    order: Mapping[str, Any]
    """The random numbers that the epoch began with."""
    phase: int = 1
    epoch: int = 1
    batch: int = 0
    total: float = 0.0
    """Of the losses of this epoch's texts so far."""
    best: tuple[float, float] = (-math.inf, -math.inf)
    chosen: Measured = field(default_factory=dict)
    history: list[Measured] = field(default_factory=list)


def fine_tune(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    phases: list[tuple[Texts, int]],
    validation: Texts,
    fit: Fit,
    *,
    max_length: int,
    seed: int,
    what: str,
    checkpoint: Checkpoint | None = None,
) -> dict[str, Any]:
    """Train a model in place and leave it with the weights of its best epoch, in evaluation mode.

    After every epoch of every phase the model is scored on `validation`: by accuracy or Pearson's correlation (an
    undefined one counts as -1), and of equals by the lower loss. With no epoch at all the model stays as it is.

    Args:
        phases: texts and how many epochs to train on them, in order. Each phase warms up and decays on its own;
            one without texts is passed over.
        what: the section of params.yaml that `fit` is, for the progress bar and errors.
        checkpoint: where to go on from, and to leave the state now and then.

    Returns the best epoch's `accuracy` or `pearson`, `loss`, `phase` and `epoch`, and the `history` of all epochs.
    Raises InputError if `max_length` is more than the model takes or the loss is no longer finite.
    """
    check_ids(tokenizer, model.config, what)
    check_length(max_length, tokenizer, model.config, "the model")
    scored = Validation(validation, tokenizer, max_length)
    metric = headline(validation.names)
    model.to(distributed.device())
    weights: Tensors = {}
    # Dropout draws from torch's global generator: it is seeded here and given back as it was.
    with torch.random.fork_rng():
        torch.manual_seed(seed + distributed.rank())
        draw = np.random.default_rng(seed)
        at = FitState(draw.bit_generator.state)
        saved = checkpoint.load() if checkpoint else None
        if saved:
            at, weights = FitState(**saved[1]), strip_prefix("best", saved[0])
        for phase, (texts, epochs) in enumerate(phases, start=1):
            if phase < at.phase or not len(texts):
                continue
            steps = epochs * math.ceil(len(texts) / fit.batch_size)
            optimizer = adamw(model, fit)
            training = Training(model, optimizer, warm_up_and_decay(optimizer, steps, fit.warmup))
            if saved:
                training.restore(saved[0])
                saved = None
            at.phase = phase
            encoded = encode(tokenizer, texts.texts, texts.pairs, max_length)
            for epoch in range(at.epoch, epochs + 1):
                draw.bit_generator.state = at.order
                batches = length_batches(encoded.lengths, size=fit.batch_size, rng=draw)
                model.train()
                for rows in track(batches[at.batch :], f"{what} {epoch}/{epochs}", done=at.batch):
                    at.total += _step(training, encoded, texts, rows)
                    at.batch += 1
                    if checkpoint and checkpoint.due:
                        checkpoint.save(training.state() | with_prefix("best", weights), asdict(at))
                now = scored.score(model)
                trained = at.total / len(texts)
                if not math.isfinite(trained + now.minus_loss):
                    rate = f"{what}.learning_rate: got {fit.learning_rate}"
                    raise InputError(f"{rate}, with which the loss is no longer a number; accepted: a lower one")
                measured = {"phase": phase, "epoch": epoch, "trained_loss": trained}
                at.history.append({**measured, metric: now.metric, "loss": -now.minus_loss})
                if now > Score(*at.best):
                    at.best, at.chosen = (now.metric, now.minus_loss), at.history[-1]
                    weights = {name: value.to("cpu", copy=True) for name, value in model.state_dict().items()}
                at.epoch, at.batch, at.total, at.order = epoch + 1, 0, 0.0, draw.bit_generator.state
            at.epoch = 1
    if weights:
        model.load_state_dict(weights)
    model.eval()
    chosen = at.chosen
    if not chosen:
        as_it_is = scored.score(model)
        chosen = {metric: as_it_is.metric, "loss": -as_it_is.minus_loss}
    return {**chosen, "history": at.history}


def _step(training: Training, encoded: Encoded, texts: Texts, rows: Rows) -> float:
    """Train on one batch; gives the sum of its texts' losses."""
    model, place = training.model, next(training.model.parameters()).device
    mine, own = distributed.local_rows(rows)
    part = distributed.loss_scale(own, len(rows))
    batch = {name: value.to(place) for name, value in collate(encoded, mine).items()}
    with precision(place):
        given = model(**batch).logits.float()
    wanted = torch.from_numpy(texts.labels[mine]).to(place)
    missed = cross_entropy(given, wanted) if texts.names else mse_loss(given[:, 0], wanted)
    training.step(missed * part)
    return distributed.all_reduce_sum(float(missed.detach()) * part * len(rows) / distributed.world_size())
