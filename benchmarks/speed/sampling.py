"""Sampling neighbours, beside nlpaug and transformers' fill-mask pipeline: the same model, texts and number of words.

    python -m benchmarks.speed.sampling

nlpaug needs a forward pass for each word it replaces, so its goal applies to as many words as the default run replaces
on average; the goal for the pipeline applies to one mask per text, for which it is made.
"""

from collections.abc import Callable
from pathlib import Path
from statistics import mean

import numpy as np
import numpy.typing as npt
from transformers import pipeline as transformers_pipeline

from benchmarks.errors import exit_on_input_error
from benchmarks.speed import flops
from benchmarks.speed.default_run import default_params, output
from benchmarks.speed.measure import Figure, publish, rate, ratio, side_by_side, timed
from benchmarks.speed.nlpaug_peer import Nlpaug
from pipeline.augment.filler import Filler
from pipeline.augment.neighbour import draw_positions
from pipeline.augment.originals import encode_rows
from pipeline.augment.sampler import sample_neighbours
from pipeline.augment.shards import read_augmented
from pipeline.data.texts import Texts, read_texts
from pipeline.models.loading import load_masked_lm, load_tokenizer
from pipeline.params.schema import Params

TEXTS = 200


def exactly(words: int) -> Callable[[int], npt.NDArray[np.float64]]:
    """In place of Eq. 11: always `words` words, or all words of a shorter text."""

    def log_p(length: int) -> npt.NDArray[np.float64]:
        out = np.full(length + 1, -np.inf)
        out[min(words, length)] = 0.0
        return out

    return log_p


def compare(words: int, texts: Texts, rows: list[int], params: Params, folder: Path) -> list[Figure]:
    """Compare all contestants, with `words` words replaced in each of the texts at `rows`."""
    model, _ = load_masked_lm(folder, "generator")
    tokenizer = load_tokenizer(folder, "generator")
    filler, distances = Filler(model, tokenizer, params), exactly(words)
    pipe = transformers_pipeline("fill-mask", model=str(folder), tokenizer=str(folder), device="cpu", top_k=20)
    originals = encode_rows(texts, rows, tokenizer, params)
    drawn = [draw_positions(original, 1, 0, params.seed, distances) for original in originals]
    neighbours = [neighbour for neighbour in drawn if neighbour is not None]
    mask = str(tokenizer.mask_token)
    masked = [one.original.replace_words(one.positions, [mask] * len(one.positions))[0][0] for one in neighbours]
    lengths = [len(one.encode(0)[0]) for one in neighbours]
    needed = flops.encoder(model.config, lengths) + flops.masked_lm_head(model.config, words * len(neighbours))

    def sample() -> None:
        sample_neighbours(encode_rows(texts, rows, tokenizer, params), 1, filler, distances, params.seed)

    with Nlpaug(folder, [texts.texts[row] for row in rows], words) as nlpaug:
        seconds = side_by_side(
            {
                "l2a": timed(sample),
                "product": flops.time_product,
                "one by one": timed(lambda: pipe(masked)),
                "batches": timed(lambda: pipe(masked, batch_size=32)),
                "nlpaug": nlpaug.seconds,
            }
        )
    what, count = f"{words} word{'s' if words > 1 else ''} per text", len(rows)
    goals = {"nlpaug": 15, "one by one": None} if words > 1 else {"nlpaug": None, "one by one": 4}
    return [
        Figure(f"neighbours, {what}", rate(seconds, "l2a", count), "per second"),
        Figure(f"nlpaug, {what}", rate(seconds, "nlpaug", count), "per second"),
        Figure(f"fill-mask pipeline, {what}", rate(seconds, "one by one", count), "per second"),
        Figure(f"fill-mask pipeline in batches of 32, {what}", rate(seconds, "batches", count), "per second"),
        Figure(f"faster than nlpaug, {what}", ratio(seconds, "nlpaug", "l2a"), "times", goals["nlpaug"]),
        Figure(f"faster than the pipeline, {what}", ratio(seconds, "one by one", "l2a"), "times", goals["one by one"]),
        Figure(f"operations needed, {what}", needed / 1e9 / count, "GFLOP per neighbour"),
        Figure(f"machine's matrix rate, {what}", flops.PRODUCT / 1e9 * rate(seconds, "product", 1), "GFLOP/s"),
        Figure(f"share of the matrix rate, {what}", flops.percent_of_matrix_rate(seconds, "l2a", needed), "%", 70),
    ]


def main() -> None:
    """Measure one neighbour for each of 200 target texts of the default run, none of which is truncated."""
    params, folder = default_params(), output("models/generator")
    average = round(mean(read_augmented(output("data/augmented"), ["distance"])["distance"].to_pylist()))
    texts = read_texts(output("data/prepared") / "test.parquet")
    originals = encode_rows(texts, range(len(texts)), load_tokenizer(folder, "generator"), params)
    rows = [
        row for row, one in enumerate(originals) if len(one.words) >= average and len(one.token_ids) < params.max_length
    ]
    rows = rows[:TEXTS]
    publish("sampling", compare(1, texts, rows, params, folder) + compare(average, texts, rows, params, folder))


if __name__ == "__main__":
    with exit_on_input_error():
        main()
