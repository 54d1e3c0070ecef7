"""Eq. 9: the generator learns from the neighbours it drew, from each as much as that one is worth."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from pipeline.augment.filler import Filler
from pipeline.augment.neighbour import Neighbour
from pipeline.compute import distributed
from pipeline.compute.batching import length_batches
from pipeline.compute.progress import track
from pipeline.errors import InputError
from pipeline.params.schema import Params
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.optimizer import Training, adamw, warm_up_and_decay

Words = Sequence[Sequence[int]]


def log_likelihood(filler: Filler, drafts: Sequence[Neighbour], words: Words) -> torch.Tensor:
    """log P(w | d, o, x) of the words at each neighbour's masks, all masked at once: (neighbours,)."""
    log_p = filler.distributions(drafts)
    drawn = torch.tensor([word for row in words for word in row], device=log_p.device)
    owner = torch.repeat_interleave(torch.tensor([len(row) for row in words], device=log_p.device))
    chances = log_p.gather(1, drawn.unsqueeze(1)).squeeze(1)
    return torch.zeros(len(words), device=log_p.device).index_add(0, owner, chances)


def refine(
    filler: Filler,
    drafts: Sequence[Neighbour],
    words: Words,
    weights: npt.NDArray[np.float64],
    params: Params,
    checkpoint: Checkpoint | None = None,
) -> None:
    """Train G_θ in place by weighted maximum likelihood (Eq. 9, p. 4); distance and positions have nothing to learn.

    The word embeddings, to which the decoder is tied, stay as they are, and dropout is off: the neighbours are few.

    Args:
        drafts: neighbours with positions and without words.
        words: the pieces that were drawn for each.
        weights: of each neighbour, with mean 1.
        checkpoint: where to go on from, and to leave the state now and then.

    Raises InputError if the loss is no longer finite.
    """
    fit = params.refine
    model = filler.model.eval()
    model.get_input_embeddings().weight.requires_grad_(False)
    lengths = np.array([len(draft.pieces(0)[0]) for draft in drafts])
    order = np.random.default_rng(params.seed)
    batches = [rows for _ in range(fit.epochs) for rows in length_batches(lengths, size=fit.batch_size, rng=order)]
    optimizer = adamw(model, fit)
    training = Training(model, optimizer, warm_up_and_decay(optimizer, len(batches), fit.warmup))
    done, last = 0, 0.0
    if saved := checkpoint.load() if checkpoint else None:
        training.restore(saved[0])
        done, last = saved[1]["steps"], saved[1]["loss"]
    for step, rows in enumerate(track(batches[done:], "refine", done=done), start=done + 1):
        mine, own = distributed.local_rows(rows)
        part = distributed.loss_scale(own, len(rows))
        worth = torch.from_numpy(weights[mine]).float().to(filler.place)
        likelihood = log_likelihood(filler, [drafts[row] for row in mine], [words[row] for row in mine])
        loss = -(worth * likelihood).mean() * part
        training.step(loss)
        last = distributed.all_reduce_sum(loss.item())
        if checkpoint and checkpoint.due:
            checkpoint.save(training.state(), {"steps": step, "loss": last})
    if not math.isfinite(last):
        rate = f"refine.learning_rate: got {fit.learning_rate}"
        raise InputError(f"{rate}, with which the loss is no longer a number; accepted: a lower one")


@torch.inference_mode()
def log_likelihoods(filler: Filler, drafts: Sequence[Neighbour], words: Words, tokens: int) -> npt.NDArray[np.float64]:
    """`log_likelihood` of many neighbours, in batches of at most `tokens` pieces: (neighbours,)."""
    out = np.zeros(len(drafts))
    for rows in length_batches(np.array([len(draft.pieces(0)[0]) for draft in drafts]), tokens=tokens):
        out[rows] = log_likelihood(filler, [drafts[row] for row in rows], [words[row] for row in rows]).cpu().numpy()
    return out
