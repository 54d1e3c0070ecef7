"""Fine-tuning on labels: one phase after the other, the weights that validate best kept."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy, mse_loss
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline import models
from pipeline.agreement import check_ids, check_length
from pipeline.batching import collate, encode, length_batches
from pipeline.data.texts import Texts
from pipeline.errors import InputError
from pipeline.params_models import Fit
from pipeline.precision import precision
from pipeline.progress import track
from pipeline.scoring import headline
from pipeline.validation import Score, Validation

Measured = dict[str, float]


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
) -> dict[str, Any]:
    """Train a model in place and leave it with the weights of its best epoch, in evaluation mode.

    After every epoch of every phase the model is scored on `validation`: by accuracy or Pearson's correlation (an
    undefined one counts as -1), and of equals by the lower loss. With no epoch at all the model stays as it is.

    Args:
        phases: texts and how many epochs to train on them, in order. Each phase warms up and decays on its own;
            one without texts is passed over.
        what: the section of params.yaml that `fit` is, for the progress bar and errors.

    Returns the best epoch's `accuracy` or `pearson`, `loss`, `phase` and `epoch`, and the `history` of all epochs.
    Raises InputError if `max_length` is more than the model takes or the loss is no longer finite.
    """
    check_ids(tokenizer, model.config, what)
    check_length(max_length, tokenizer, model.config, "the model")
    scored = Validation(validation, tokenizer, max_length)
    metric = headline(validation.names)
    model.to(models.device())
    history: list[Measured] = []
    best, chosen = Score(-math.inf, -math.inf), {}
    weights: dict[str, torch.Tensor] = {}
    # Dropout draws from torch's global generator: it is seeded here and given back as it was.
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        draw = np.random.default_rng(seed)
        for phase, (texts, epochs) in enumerate(phases, start=1):
            if not len(texts):
                continue
            losses = _train(model, tokenizer, texts, epochs, fit, max_length, draw, what)
            for epoch, trained in enumerate(losses, start=1):
                now = scored.score(model)
                if not math.isfinite(trained + now.minus_loss):
                    rate = f"{what}.learning_rate: got {fit.learning_rate}"
                    raise InputError(f"{rate}, with which the loss is no longer a number; accepted: a lower one")
                measured = {"phase": phase, "epoch": epoch, "trained_loss": trained}
                history.append({**measured, metric: now.metric, "loss": -now.minus_loss})
                if now > best:
                    best, chosen = now, history[-1]
                    weights = {name: value.to("cpu", copy=True) for name, value in model.state_dict().items()}
    if weights:
        model.load_state_dict(weights)
    model.eval()
    if not chosen:
        as_it_is = scored.score(model)
        chosen = {metric: as_it_is.metric, "loss": -as_it_is.minus_loss}
    return {**chosen, "history": history}


def _train(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    texts: Texts,
    epochs: int,
    fit: Fit,
    max_length: int,
    draw: np.random.Generator,
    what: str,
) -> Iterator[float]:
    """Train one phase, yielding the mean loss of each epoch as it ends."""
    place = next(model.parameters()).device
    encoded = encode(tokenizer, texts.texts, texts.pairs, max_length)
    lengths = encoded.lengths
    labels = torch.from_numpy(texts.labels).to(place)
    steps = epochs * math.ceil(len(texts) / fit.batch_size)
    optimizer = adamw(model, fit)
    schedule = warm_up_and_decay(optimizer, steps, fit.warmup)
    for epoch in range(1, epochs + 1):
        model.train()
        total = torch.zeros((), device=place)
        batches = length_batches(lengths, size=fit.batch_size, rng=draw)
        for rows in track(batches, f"{what} {epoch}/{epochs}"):
            batch = {name: value.to(place) for name, value in collate(encoded, rows).items()}
            with precision(place):
                given = model(**batch).logits.float()
            wanted = labels[torch.from_numpy(rows).to(place)]
            missed = cross_entropy(given, wanted) if texts.names else mse_loss(given[:, 0], wanted)
            optimizer.zero_grad()
            torch.autograd.backward(missed)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += missed.detach() * len(rows)
        yield total.item() / len(texts)


def adamw(model: torch.nn.Module, fit: Fit) -> torch.optim.AdamW:
    """AdamW with weight decay on matrices, none on biases and LayerNorm."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in trained if parameter.ndim > 1], "weight_decay": fit.weight_decay},
        {"params": [parameter for parameter in trained if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=fit.learning_rate, fused=True)


def warm_up_and_decay(optimizer: torch.optim.Optimizer, steps: int, warmup: float) -> torch.optim.lr_scheduler.LambdaLR:
    """Let the learning rate rise linearly over a share of the steps, then fall linearly towards 0."""
    rise = min(round(warmup * steps), steps - 1)

    def share(step: int) -> float:
        return (step + 1) / (rise + 1) if step < rise else max(0.0, (steps - step) / (steps - rise))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, share)
