"""The generator refined on the neighbours it drew, each weighted by its reward R_φ (Eqs. 5–9, p. 4)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from pipeline.augment.filler import Filler, load_generator
from pipeline.augment.neighbour import Neighbour
from pipeline.augment.originals import encode_originals
from pipeline.augment.rewards import rewards, weights
from pipeline.augment.selection import matching_selection
from pipeline.augment.shards import read_augmented
from pipeline.compute import distributed
from pipeline.compute.batching import TOKENS, budget_batches, epoch_batches
from pipeline.data.texts import second_texts
from pipeline.errors import InputError
from pipeline.evaluation.scoring import rounded
from pipeline.models.loading import load_tokenizer
from pipeline.models.saving import save_model
from pipeline.params.schema import Params
from pipeline.storage.fingerprint import file_hash, folder_hash
from pipeline.storage.json_file import write_json
from pipeline.training.checkpoint import Checkpoint, model_hash
from pipeline.training.optimizer import TrainState, adamw, check_finite, warm_up_and_decay
from pipeline.training.steps import remaining_batches

COLUMNS = (
    "id", "original_id", "original_text", "original_text_pair", "label", "distance", "length", "positions", "new_words",
    "log_p",
)  # fmt: skip
KEY = "refine.learning_rate"
TokenIds = Sequence[Sequence[int]]
"""For each neighbour the token ids of its new words."""


def refine_generator(
    params: Params, *, augmented: Path, selection: Path, generator: Path, out: Path, metrics: Path
) -> str:
    """Train the generator on the previous round's neighbours; write it, and log P of their words before and after.

    Originals with a single neighbour are left out: its weight is 1 whatever its reward. Returns a one-line summary.
    Raises InputError if no original has two neighbours, or if the neighbours are not this generator's.
    """
    table, pi, original = _read_neighbours(augmented, selection)
    tokenizer = load_tokenizer(generator, "generator")
    filler = Filler(load_generator(generator), tokenizer, params)
    neighbours, new_token_ids = _mask_neighbours(table, original, filler, params, augmented)
    reward = rewards(table["log_p"].to_numpy(), pi, original, scale=params.refine.scale)
    # With mean 1, so that the step size does not depend on how many neighbours an original has.
    weight = weights(reward, original) * np.bincount(original)[original]

    before = log_likelihoods(filler, neighbours, new_token_ids, TOKENS)
    checkpoint = Checkpoint(
        "refine",
        __name__,
        params=params.model_dump(include={"seed", "temperature", "max_length", "augment", "refine"}),
        augmented=folder_hash(augmented),
        selection=file_hash(selection),
        start=model_hash(filler.model, tokenizer),
    )
    fit_generator(filler, neighbours, new_token_ids, weight, params, checkpoint)
    after = log_likelihoods(filler, neighbours, new_token_ids, TOKENS)
    check_finite(float(after.sum()), KEY, params.refine.learning_rate)
    save_model(filler.model, tokenizer, out)
    measured: dict[str, Any] = {
        "neighbours": len(neighbours),
        "deviation_of_scaled_pi": _deviation_within(params.refine.scale * pi, original),
    }
    for name, group in {"worth_more": weight > 1, "worth_less": weight <= 1}.items():
        if group.any():
            means = {"log_p_words_before": before[group].mean(), "log_p_words_after": after[group].mean()}
            measured[name] = {"neighbours": int(group.sum()), **rounded(means)}
    write_json(metrics, measured)
    checkpoint.finish()
    return f"refined on {len(neighbours):,} neighbours of {original.max() + 1:,} texts, in {out}"


def fit_generator(
    filler: Filler,
    neighbours: Sequence[Neighbour],
    new_token_ids: TokenIds,
    weight: npt.NDArray[np.float64],
    params: Params,
    checkpoint: Checkpoint | None = None,
) -> None:
    """Train G_θ in place by weighted maximum likelihood (Eq. 9, p. 4): −Σ weight · log P(w | d, o, x).

    Distance and positions have no trainable parameters. The word embeddings, to which the decoder is tied, stay
    frozen, and dropout is off: the neighbours are few.

    Args:
        neighbours: with positions and without words.
        weight: of each neighbour, with mean 1.
        checkpoint: resumed from, and written when due.

    Raises InputError if the loss is not finite.
    """
    fit = params.refine
    model = filler.model.eval()
    model.get_input_embeddings().weight.requires_grad_(False)
    lengths = np.array([len(neighbour.encode(0)[0]) for neighbour in neighbours])
    rng = np.random.default_rng(params.seed)
    batches = [rows for _ in range(fit.epochs) for rows in epoch_batches(lengths, size=fit.batch_size, rng=rng)]
    optimizer = adamw(model, fit)
    state = TrainState(model, optimizer, warm_up_and_decay(optimizer, len(batches), fit.warmup), KEY)
    for rows in remaining_batches(state, batches, steps=len(batches), description="refine", checkpoint=checkpoint):
        local, count = distributed.local_rows(rows)
        scale = distributed.loss_scale(count, len(rows))
        log_p = batch_log_likelihood(filler, [neighbours[row] for row in local], [new_token_ids[row] for row in local])
        state.step(-(torch.from_numpy(weight[local]).float().to(filler.device) * log_p).mean() * scale)


def batch_log_likelihood(filler: Filler, neighbours: Sequence[Neighbour], new_token_ids: TokenIds) -> torch.Tensor:
    """log P(w | d, o, x) of the words at each neighbour's masks, all masked at once: (neighbours,)."""
    log_p = filler.distributions(neighbours)
    token_ids = torch.tensor([token_id for row in new_token_ids for token_id in row], device=log_p.device)
    rows = torch.repeat_interleave(torch.tensor([len(row) for row in new_token_ids], device=log_p.device))
    log_p_words = log_p.gather(1, token_ids.unsqueeze(1)).squeeze(1)
    return torch.zeros(len(new_token_ids), device=log_p.device).index_add(0, rows, log_p_words)


@torch.inference_mode()
def log_likelihoods(
    filler: Filler, neighbours: Sequence[Neighbour], new_token_ids: TokenIds, tokens: int
) -> npt.NDArray[np.float64]:
    """`batch_log_likelihood` of many neighbours, in batches of at most `tokens` tokens: (neighbours,)."""
    out = np.zeros(len(neighbours))
    for rows in budget_batches(np.array([len(neighbour.encode(0)[0]) for neighbour in neighbours]), tokens):
        log_p = batch_log_likelihood(filler, [neighbours[row] for row in rows], [new_token_ids[row] for row in rows])
        out[rows] = log_p.cpu().numpy()
    return out


def _deviation_within(numbers: npt.NDArray[np.float64], original: npt.NDArray[np.int64]) -> float:
    """The standard deviation among neighbours of one original: the root of their mean variance."""
    mean = np.bincount(original, numbers) / np.bincount(original)
    return float(np.sqrt(np.mean((numbers - mean[original]) ** 2)))


def _read_neighbours(
    augmented: Path, selection: Path
) -> tuple[pa.Table, npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Neighbours of originals that have several, π(z) of each, and the index of its original."""
    table = read_augmented(augmented, COLUMNS)
    matching = matching_selection(selection, augmented, ["pi"])
    if matching is None:
        raise InputError(
            f"{selection}: made for other neighbours than those in {augmented}; run the distill stage again"
        )
    # A copy has no changed words.
    changed = table["distance"].to_numpy() > 0
    table, pi = table.filter(changed), matching[0]["pi"].to_numpy()[changed].astype(np.float64)
    if any(table[name].null_count for name in ("length", "positions", "new_words", "log_p")):
        raise InputError(f"{augmented}: neighbours without positions of changed words; run the augment stage again")
    _, original, counts = np.unique(
        np.asarray(table["original_id"].to_pylist(), dtype=np.str_), return_inverse=True, return_counts=True
    )
    several = counts[original] > 1
    if not several.any():
        raise InputError(f"{augmented}: no text has two neighbours; accepted: augment.samples of 2 or more of a domain")
    _, original = np.unique(original[several], return_inverse=True)
    return table.filter(several), pi[several], original


def _mask_neighbours(
    table: pa.Table, original: npt.NDArray[np.int64], filler: Filler, params: Params, augmented: Path
) -> tuple[list[Neighbour], list[list[int]]]:
    """Each neighbour with masks in place of its new words, and the token ids of those words."""
    _, first = np.unique(original, return_index=True)
    columns = table.take(first).to_pydict()
    originals = encode_originals(
        columns["original_id"],
        columns["original_text"],
        second_texts(columns["original_text_pair"], augmented),
        columns["label"],
        filler.tokenizer,
        max_length=params.max_length,
        side=params.augment.side,
        shared=params.augment.shared,
        keep=params.augment.keep,
    )
    neighbours, new_token_ids = [], []
    rows = zip(original, *(table[name].to_pylist() for name in ("id", "length", "positions", "new_words")), strict=True)
    for index, neighbour_id, length, words, new_words in rows:
        units = originals[index].units
        became = dict(zip(words, new_words, strict=False))
        positions = [position for position, unit in enumerate(units) if unit[0] in became]
        changed = sum(len(units[position]) for position in positions)
        known = [filler.token_ids(originals[index].words[units[position][0]].script) for position in positions]
        written = [became[units[position][0]] for position in positions]
        # An uncased generator's word has the capitals of the word it replaced.
        drawn = [word if word in token_ids else word.lower() for word, token_ids in zip(written, known, strict=True)]
        if (length, len(words), len(new_words)) != (len(units), changed, changed) or not all(
            word in token_ids for word, token_ids in zip(drawn, known, strict=True)
        ):
            raise InputError(
                f"{neighbour_id}: not drawn by this generator with these params; run the augment stage again"
            )
        neighbour = Neighbour(
            originals[index], sample=0, positions=positions, quantiles=[], log_p_distance=0.0, log_p_positions=0.0
        )
        neighbours.append(neighbour)
        new_token_ids.append([token_ids[word] for word, token_ids in zip(drawn, known, strict=True)])
    return neighbours, new_token_ids
