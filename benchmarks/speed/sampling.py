"""Drawing neighbours, beside nlpaug and transformers' fill-mask pipeline: the same model, texts and number of words.

    python -m benchmarks.speed.sampling

nlpaug goes through the model once for each word it replaces, so its goal is held against as many words as the default
run replaces on average; the pipeline's against one mask a text, which is what it is made for.
"""

from collections.abc import Callable
from pathlib import Path
from statistics import mean

import numpy as np
import numpy.typing as npt
from transformers import pipeline as transformers_pipeline

from benchmarks.one_line import one_line
from benchmarks.speed import operations
from benchmarks.speed.made import made, params
from benchmarks.speed.measure import Figure, publish, rate, ratio, side_by_side, timed
from benchmarks.speed.nlpaug_peer import Nlpaug
from pipeline.augment.filler import Filler
from pipeline.augment.methods.methods import originals_of
from pipeline.augment.neighbour import draw
from pipeline.augment.sampler import sample_neighbours
from pipeline.augment.shards import read_augmented
from pipeline.data.texts import Texts, read_texts
from pipeline.models.loading import load_masked_lm, load_tokenizer
from pipeline.params.schema import Params

TEXTS = 200


def exactly(words: int) -> Callable[[int], npt.NDArray[np.float64]]:
    """In place of Eq. 11: always so many words, or all of a text that has fewer."""

    def log_p(length: int) -> npt.NDArray[np.float64]:
        out = np.full(length + 1, -np.inf)
        out[min(words, length)] = 0.0
        return out

    return log_p


def contest(words: int, texts: Texts, rows: list[int], given: Params, folder: Path) -> list[Figure]:
    """Everybody beside each other, with so many words replaced in each of the texts at `rows`."""
    model, _ = load_masked_lm(folder, "generator")
    tokenizer = load_tokenizer(folder, "generator")
    filler, distances = Filler(model, tokenizer, given), exactly(words)
    pipe = transformers_pipeline("fill-mask", model=str(folder), tokenizer=str(folder), device="cpu", top_k=20)
    originals = originals_of(texts, rows, tokenizer, given)
    drafts = [draft for one in originals if (draft := draw(one, 1, 0, given.seed, distances)) is not None]
    mask = str(tokenizer.mask_token)
    masked = [one.original.replaced(one.positions, [mask] * len(one.positions))[0] for one in drafts]
    pieces = [len(one.pieces(0)[0]) for one in drafts]
    needed = operations.encoder(model.config, pieces) + operations.masked_words(model.config, words * len(drafts))

    def ours() -> None:
        sample_neighbours(originals_of(texts, rows, tokenizer, given), 1, filler, distances, given.seed)

    with Nlpaug(folder, [texts.texts[row] for row in rows], words) as nlpaug:
        seconds = side_by_side(
            {
                "l2a": timed(ours),
                "product": operations.product,
                "one by one": timed(lambda: pipe(masked)),
                "batches": timed(lambda: pipe(masked, batch_size=32)),
                "nlpaug": nlpaug.seconds,
            }
        )
    what, count = f"{words} word{'s' if words > 1 else ''} a text", len(rows)
    goals = {"nlpaug": 15, "one by one": None} if words > 1 else {"nlpaug": None, "one by one": 4}
    return [
        Figure(f"neighbours, {what}", rate(seconds, "l2a", count), "a second"),
        Figure(f"nlpaug, {what}", rate(seconds, "nlpaug", count), "a second"),
        Figure(f"fill-mask pipeline, {what}", rate(seconds, "one by one", count), "a second"),
        Figure(f"the same in batches of 32, {what}", rate(seconds, "batches", count), "a second"),
        Figure(f"faster than nlpaug, {what}", ratio(seconds, "nlpaug", "l2a"), "times", goals["nlpaug"]),
        Figure(f"faster than the pipeline, {what}", ratio(seconds, "one by one", "l2a"), "times", goals["one by one"]),
        Figure(f"operations needed, {what}", needed / 1e9 / count, "GFLOP a neighbour"),
        Figure(f"machine's matrix rate, {what}", operations.PRODUCT / 1e9 * rate(seconds, "product", 1), "GFLOP/s"),
        Figure(f"of that reached, {what}", operations.share(seconds, "l2a", needed), "%", 70),
    ]


def main() -> None:
    """Measure one neighbour each of 200 texts of the default's target, none so long that it would be cut."""
    given, folder = params(), made("models/generator")
    usual = round(mean(read_augmented(made("data/augmented"), ["distance"])["distance"].to_pylist()))
    texts = read_texts(made("data/prepared") / "test.parquet")
    whole = originals_of(texts, range(len(texts)), load_tokenizer(folder, "generator"), given)
    rows = [row for row, one in enumerate(whole) if len(one.words) >= usual and len(one.pieces) < given.max_length]
    rows = rows[:TEXTS]
    publish("sampling", contest(1, texts, rows, given, folder) + contest(usual, texts, rows, given, folder))


if __name__ == "__main__":
    with one_line():
        main()
