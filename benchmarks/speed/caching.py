"""Caching what the teacher says and thinks: how near to the machine's own rate, how small, how fast to read again.

python -m benchmarks.speed.caching
"""

import tempfile
from pathlib import Path

import numpy as np

from benchmarks.one_line import one_line
from benchmarks.speed import operations
from benchmarks.speed.loop import default_lessons, default_student, default_validation, steps, without_selector
from benchmarks.speed.made import made, params
from benchmarks.speed.measure import Figure, publish, rate, ratio, side_by_side, timed
from pipeline.augment.shards import read_augmented
from pipeline.compute.batching import encode, length_batches
from pipeline.distill.cache_teacher import Piece, run_teacher
from pipeline.models.loading import load_classifier, load_tokenizer

TEXTS = 600
"""About as many as a shard of the default has."""
STEPS = 20


def main() -> None:
    """Measure a shard's worth of the default's neighbours."""
    given, folder = without_selector(params()), made("models/teacher")
    model, tokenizer = load_classifier(folder, "teacher"), load_tokenizer(folder, "teacher")
    table = read_augmented(made("data/augmented"), ["id", "text"]).slice(0, TEXTS)
    piece = Piece("shard", table["id"].to_pylist(), table["text"].to_pylist(), None)
    lengths = encode(tokenizer, piece.texts, None, given.max_length).lengths
    needed = operations.classifier(model.config, lengths.tolist())

    lessons, student, validation = default_lessons(given), default_student(given), default_validation(given)
    batches = length_batches(lessons.encoded.lengths, size=given.distill.batch_size, rng=np.random.default_rng(1))
    heads = model.config.num_attention_heads

    def read() -> None:
        for rows in batches[:STEPS]:
            cached = lessons.cached[rows]
            lessons.teacher_logits(rows)
            lessons.cache.hidden(cached)
            lessons.cache.attention(cached, heads)

    with tempfile.TemporaryDirectory() as scratch:
        stem = Path(scratch) / "piece"
        seconds = side_by_side(
            {
                "caching": timed(lambda: run_teacher(model, tokenizer, piece, stem, given, "")),
                "product": operations.product,
                "reading": timed(read),
                "steps": lambda: steps(STEPS, student, model.config.hidden_size, lessons, validation, given),
            }
        )
        written = sum(file.stat().st_size for file in Path(scratch).iterdir())
    width = model.config.hidden_size
    padded = 2 * given.max_length * (width + heads * given.max_length)
    publish(
        "caching",
        [
            Figure("texts cached", rate(seconds, "caching", TEXTS), "a second"),
            Figure("operations needed", needed / 1e9 / TEXTS, "GFLOP a text"),
            Figure("machine's matrix rate", operations.PRODUCT / 1e9 * rate(seconds, "product", 1), "GFLOP/s"),
            Figure("of that reached", operations.share(seconds, "caching", needed), "%", 70),
            Figure("disk", written / TEXTS / 1e3, "kB a text"),
            Figure(f"float16 padded to {given.max_length} tokens", padded / 1e3, "kB a text"),
            Figure("smaller than padded", padded * TEXTS / written, "times"),
            Figure("batches read", rate(seconds, "reading", STEPS), "a second"),
            Figure("batches the student takes", rate(seconds, "steps", STEPS), "a second"),
            Figure("faster read than taken", ratio(seconds, "steps", "reading"), "times", 5),
        ],
    )


if __name__ == "__main__":
    with one_line():
        main()
