"""Fine-tuning on labels: one phase after the other, the weights of the best validation score kept."""

import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy, mse_loss
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.compute import distributed
from pipeline.compute.batching import Encoded, Rows, collate, encode, epoch_batches
from pipeline.compute.precision import precision
from pipeline.compute.progress import track
from pipeline.data.texts import Texts
from pipeline.evaluation.validation import Score, Validation
from pipeline.models.compatibility import check_length
from pipeline.models.forward_shortcuts import last_layer_first_token_only
from pipeline.models.frozen import Frozen
from pipeline.models.ids import check_ids
from pipeline.models.label_scale import UNSCALED, LabelScale
from pipeline.params.models import Fit
from pipeline.params.types import ScoreName
from pipeline.training.checkpoint import Checkpoint, Tensors, strip_prefix, with_prefix
from pipeline.training.frozen_states import FrozenStates, batch_states, frozen_states
from pipeline.training.optimizer import TrainState, adamw, warm_up_and_decay

EpochMetrics = dict[str, float]


@dataclass
class FitState:
    """Progress of fine-tuning: the next batch, the metrics so far and the best epoch's."""

    rng_state: Mapping[str, Any]
    """State of the random number generator of the batches at the start of the epoch."""
    phase: int = 1
    epoch: int = 1
    batch: int = 0
    total_loss: float = 0.0
    """Sum of the losses of this epoch's texts so far."""
    best_score: tuple[float, float] = (-math.inf, -math.inf)
    best_epoch: EpochMetrics = field(default_factory=dict)
    history: list[EpochMetrics] = field(default_factory=list)


def fine_tune(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    phases: Sequence[tuple[Texts, float]],
    validation: Texts,
    fit: Fit,
    *,
    max_length: int,
    seed: int,
    section: str,
    score: ScoreName = "auto",
    by_loss: bool = False,
    scale: LabelScale = UNSCALED,
    frozen: Frozen | None = None,
    checkpoint: Checkpoint | None = None,
    keep: bool = False,
) -> dict[str, Any]:
    """Train a model in place; it ends with the weights of its best epoch, in evaluation mode.

    After every epoch of every phase the model is scored on `validation`: by the metric of `score` or R² (-1 if
    undefined), then by the lower loss. Without any epoch the model stays as it is.

    Args:
        phases: texts and the number of epochs on them, in order. Each phase has its own optimizer and learning rate
            schedule; one without texts or epochs is skipped. The last epoch of 2.25 is a quarter of the batches of the
            third.
        section: the section of params.yaml that `fit` comes from, for the progress bar and errors.
        by_loss: whether the best epoch is that with the lowest validation loss, whatever the metric. Of a hundred texts
            any metric is coarse, and often takes a model that has the classes right and says so of none for sure.
        scale: of a regression's labels. The model answers in their unit before and after; in between it is trained on
            standardised numbers, and `loss` is the squared error of those.
        frozen: the part of the model that `freeze` has frozen. What it makes of the texts is computed once, if they are
            read more than once and it fits into memory; without dropout it is the same in every epoch, up to rounding.
        checkpoint: resumed from, and written when due.
        keep: also write the checkpoint at the end, for a caller that has more to do before the model is published.

    Returns the best epoch's metric under its name, `loss`, `phase` and `epoch`, and the `history` of all epochs.
    Raises InputError if `max_length` is more than the model takes or the loss is not finite.
    """
    check_ids(tokenizer, model.config, section)
    check_length(max_length, tokenizer, model, "the model")
    scale.standardise_head(model)
    validation = replace(validation, labels=scale.standardised(validation.labels))
    scorer = Validation(validation, tokenizer, max_length, score)
    metric = scorer.metric
    model.to(distributed.device())
    if sum(math.ceil(epochs) for texts, epochs in phases if len(texts)) > 1:
        scorer.inside = batch_states(model, frozen, scorer.padded.batches)
    best_weights: Tensors = {}
    fixed = {name for name, weight in model.named_parameters() if not weight.requires_grad}
    # Dropout uses torch's global generator: seeded here, and restored afterwards.
    with torch.random.fork_rng():
        torch.manual_seed(seed + distributed.rank())
        rng = np.random.default_rng(seed)
        progress = FitState(rng.bit_generator.state)
        saved = checkpoint.load() if checkpoint else None
        if saved:
            progress, best_weights = FitState(**saved[1]), strip_prefix("best", saved[0])
        for phase, (texts, epochs) in enumerate(phases, start=1):
            if phase < progress.phase or not len(texts) or not epochs:
                continue
            steps = sum(steps_of_epochs(epochs, math.ceil(len(texts) / fit.batch_size)))
            optimizer = adamw(model, fit)
            schedule = warm_up_and_decay(optimizer, steps, fit.warmup)
            state = TrainState(model, optimizer, schedule, f"{section}.learning_rate")
            if saved:
                state.load_state_dict(saved[0])
                saved = None
            progress.phase = phase
            texts = replace(texts, labels=scale.standardised(texts.labels))
            encoded = encode(tokenizer, texts.texts, texts.pairs, max_length)
            states = frozen_states(model, frozen, encoded, epochs)
            for epoch in range(progress.epoch, math.ceil(epochs) + 1):
                rng.bit_generator.state = progress.rng_state
                batches = epoch_batches(encoded.lengths, size=fit.batch_size, rng=rng)
                batches = batches[: steps_of_epochs(epochs, len(batches))[epoch - 1]]
                model.train()
                if frozen:
                    frozen.eval()
                for rows in track(batches[progress.batch :], f"{section} {epoch}/{epochs:g}", done=progress.batch):
                    progress.total_loss += state.step(_loss(model, encoded, texts, rows, states)) * len(rows)
                    progress.batch += 1
                    if checkpoint and checkpoint.due:
                        checkpoint.save(state.state_dict() | with_prefix("best", best_weights), asdict(progress))
                reached = scorer.score(model)
                state.check_finite(reached.minus_loss)
                mean_loss = progress.total_loss / sum(len(rows) for rows in batches)
                metrics = {"phase": phase, "epoch": epoch, "trained_loss": mean_loss}
                progress.history.append({**metrics, metric: reached.metric, "loss": -reached.minus_loss})
                best = Score(*progress.best_score)
                if reached.minus_loss > best.minus_loss if by_loss else reached > best:
                    progress.best_score = (reached.metric, reached.minus_loss)
                    progress.best_epoch = progress.history[-1]
                    weights = model.state_dict()
                    best_weights = {name: weights[name].to("cpu", copy=True) for name in weights.keys() - fixed}
                progress.epoch, progress.batch, progress.total_loss = epoch + 1, 0, 0.0
                progress.rng_state = rng.bit_generator.state
            progress.epoch = 1
        if keep and checkpoint and not distributed.rank():
            progress.phase = len(phases) + 1
            checkpoint.save(with_prefix("best", best_weights), asdict(progress))
    if best_weights:
        model.load_state_dict(best_weights, strict=False)
    model.eval()
    best_epoch = progress.best_epoch
    if not best_epoch:
        reached = scorer.score(model)
        best_epoch = {metric: reached.metric, "loss": -reached.minus_loss}
    scale.put_into_head(model)
    return {**best_epoch, "history": progress.history}


def steps_of_epochs(epochs: float, batches: int) -> list[int]:
    """Number of steps in each epoch: all batches, but in the last of 2.25 epochs a quarter of them, rounded up."""
    # Rounded first, because 0.28 × 25 is a little more than 7.
    shares = [min(1.0, epochs - epoch) for epoch in range(math.ceil(epochs))]
    return [max(1, math.ceil(round(share * batches, 6))) for share in shares]


def _loss(
    model: PreTrainedModel, encoded: Encoded, texts: Texts, rows: Rows, states: FrozenStates | None
) -> torch.Tensor:
    """The local part of the mean loss, scaled: its mean over all processes is the batch's loss."""
    device = distributed.device()
    local, count = distributed.local_rows(rows)
    batch = collate(encoded, local, device)
    lower_layers = nullcontext() if states is None else states.standing_in(local)
    with precision(device), last_layer_first_token_only(model), lower_layers:
        logits = model(**batch).logits.float()
    labels = torch.from_numpy(texts.labels[local]).to(device)
    loss = cross_entropy(logits, labels) if texts.names else mse_loss(logits[:, 0], labels)
    return loss * distributed.loss_scale(count, len(rows))
