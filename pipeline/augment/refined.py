"""The refine stage's work: what was drawn and how it was judged becomes a better generator (Eqs. 5–9)."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.augment.filler import BATCH_TOKENS, Filler
from pipeline.augment.neighbour import Neighbour
from pipeline.augment.originals import read_originals
from pipeline.augment.refine import log_likelihoods, refine
from pipeline.augment.rewards import rewards, weights
from pipeline.augment.shards import read_augmented
from pipeline.data.texts import second_texts
from pipeline.errors import InputError
from pipeline.evaluation.scoring import rounded
from pipeline.models.loading import load_masked_lm, load_tokenizer
from pipeline.models.saving import save_model
from pipeline.params.schema import Params
from pipeline.storage.atomic import write_json
from pipeline.storage.fingerprint import file_hash, folder_hash
from pipeline.storage.parquet import read_table
from pipeline.training.checkpoint import Checkpoint, model_hash

COLUMNS = (
    "id", "original_id", "original_text", "original_text_pair", "label", "distance", "length", "positions", "new_words",
    "log_p",
)  # fmt: skip


def refine_generator(
    params: Params, *, augmented: Path, selection: Path, generator: Path, out: Path, metrics: Path
) -> str:
    """Train the generator on the last round's neighbours and write it, and what it thinks of them before and after.

    Originals with a single neighbour teach nothing: its weight is 1 whatever it is worth. Returns what was made, in a
    few words. Raises InputError if there are no neighbours to compare, or if they are not this generator's.
    """
    table, pi, original = _judged(augmented, selection)
    tokenizer = load_tokenizer(generator, "generator")
    model, _ = load_masked_lm(generator, "generator")
    filler = Filler(model, tokenizer, params)
    drafts, words = _drafts(table, original, filler, params, augmented)
    reward = rewards(table["log_p"].to_numpy(), pi, original, scale=params.refine.scale)
    # With mean 1, so that the step's size does not hang on how many neighbours an original has.
    worth = weights(reward, original) * np.bincount(original)[original]

    before = log_likelihoods(filler, drafts, words, BATCH_TOKENS)
    checkpoint = Checkpoint(
        "refine",
        __name__,
        params=params.model_dump(include={"seed", "temperature", "max_length", "augment", "refine"}),
        augmented=folder_hash(augmented),
        selection=file_hash(selection),
        start=model_hash(model, tokenizer),
    )
    refine(filler, drafts, words, worth, params, checkpoint)
    after = log_likelihoods(filler, drafts, words, BATCH_TOKENS)
    if not np.isfinite(after).all():
        rate = f"refine.learning_rate: got {params.refine.learning_rate}"
        raise InputError(f"{rate}, with which the generator gives no numbers any more; accepted: a lower one")
    save_model(filler.model, tokenizer, out)
    measured: dict[str, Any] = {
        "neighbours": len(drafts),
        "deviation_of_scaled_pi": _apart(params.refine.scale * pi, original),
    }
    for name, group in {"worth_more": worth > 1, "worth_less": worth <= 1}.items():
        if group.any():
            means = {"log_p_words_before": before[group].mean(), "log_p_words_after": after[group].mean()}
            measured[name] = {"neighbours": int(group.sum()), **rounded(means)}
    write_json(metrics, measured)
    checkpoint.finish()
    return f"refined on {len(drafts):,} neighbours of {original.max() + 1:,} texts, in {out}"


def _apart(numbers: npt.NDArray[np.float64], original: npt.NDArray[np.int64]) -> float:
    """How far the numbers of neighbours of one original lie apart: the root of their mean variance."""
    mean = np.bincount(original, numbers) / np.bincount(original)
    return float(np.sqrt(np.mean((numbers - mean[original]) ** 2)))


def _judged(augmented: Path, selection: Path) -> tuple[pa.Table, npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Neighbours of originals that have several, π(z) of each, and which original each belongs to, from 0."""
    table = read_augmented(augmented, COLUMNS)
    judged = read_table(selection, ["id", "pi"], "distill")
    noted = (judged.schema.metadata or {}).get(b"augmented", b"").decode()
    if noted not in ("", folder_hash(augmented, "*.parquet")) or judged["id"].to_pylist() != table["id"].to_pylist():
        raise InputError(f"{selection}: not of the neighbours in {augmented}; run the distill stage again")
    # A copy has no words to learn.
    changed = table["distance"].to_numpy() > 0
    table, pi = table.filter(changed), judged["pi"].to_numpy()[changed].astype(np.float64)
    if any(table[name].null_count for name in ("length", "positions", "new_words", "log_p")):
        raise InputError(f"{augmented}: neighbours whose changed words are not told; run the augment stage again")
    _, original, counts = np.unique(
        np.asarray(table["original_id"].to_pylist(), dtype=np.str_), return_inverse=True, return_counts=True
    )
    several = counts[original] > 1
    if not several.any():
        raise InputError(f"{augmented}: no text has two neighbours; accepted: augment.samples of 2 or more of a domain")
    _, original = np.unique(original[several], return_inverse=True)
    return table.filter(several), pi[several], original


def _drafts(
    table: pa.Table, original: npt.NDArray[np.int64], filler: Filler, params: Params, augmented: Path
) -> tuple[list[Neighbour], list[list[int]]]:
    """Each neighbour with its masks open again, and the pieces that were drawn for them."""
    _, first = np.unique(original, return_index=True)
    of = table.take(first).to_pydict()
    originals = read_originals(
        of["original_id"],
        of["original_text"],
        second_texts(of["original_text_pair"], augmented),
        of["label"],
        filler.tokenizer,
        max_length=params.max_length,
        side=params.augment.side,
    )
    drafts, words = [], []
    rows = zip(original, *(table[name].to_pylist() for name in ("id", "length", "positions", "new_words")), strict=True)
    for which, id_, length, positions, new in rows:
        if length != len(originals[which].words) or not filler.whole.keys() >= set(new):
            raise InputError(f"{id_}: not drawn by this generator with these params; run the augment stage again")
        drafts.append(Neighbour(originals[which], 0, 0, positions, [], 0.0, 0.0))
        words.append([filler.whole[word] for word in new])
    return drafts, words
