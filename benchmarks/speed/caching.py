"""Caching the teacher's logits, hidden states and attention: rate, size on disk, and speed of reading.

python -m benchmarks.speed.caching
"""

import tempfile
from pathlib import Path

import numpy as np

from benchmarks.errors import exit_on_input_error
from benchmarks.speed import flops
from benchmarks.speed.default_run import default_params, output
from benchmarks.speed.measure import Figure, publish, rate, ratio, side_by_side, timed
from benchmarks.speed.timed_steps import (
    default_dataset,
    default_student,
    default_validation,
    time_steps,
    without_selector,
)
from pipeline.augment.shards import read_augmented
from pipeline.compute.batching import encode, epoch_batches
from pipeline.distill.cache_teacher import Piece, run_teacher
from pipeline.models.loading import load_classifier, load_tokenizer

TEXTS = 600
"""About as many as a shard of the default run has."""
STEPS = 20


def main() -> None:
    """Measure the neighbours of about one shard of the default run."""
    params, folder = without_selector(default_params()), output("models/teacher")
    model, tokenizer = load_classifier(folder, "teacher"), load_tokenizer(folder, "teacher")
    table = read_augmented(output("data/augmented"), ["id", "text"]).slice(0, TEXTS)
    piece = Piece("shard", table["id"].to_pylist(), table["text"].to_pylist(), None)
    lengths = encode(tokenizer, piece.texts, None, params.max_length).lengths
    needed = flops.classifier(model.config, lengths.tolist())

    dataset, student, validation = default_dataset(params), default_student(params), default_validation(params)
    batches = epoch_batches(dataset.encoded.lengths, size=params.distill.batch_size, rng=np.random.default_rng(1))
    heads = model.config.num_attention_heads

    def read() -> None:
        for rows in batches[:STEPS]:
            cached = dataset.cache_rows[rows]
            dataset.teacher_logits(rows)
            dataset.cache.hidden(cached)
            dataset.cache.attention(cached, heads)

    with tempfile.TemporaryDirectory() as scratch:
        stem = Path(scratch) / "piece"
        seconds = side_by_side(
            {
                "caching": timed(lambda: run_teacher(model, tokenizer, piece, stem, params, "")),
                "product": flops.time_product,
                "reading": timed(read),
                "steps": lambda: time_steps(STEPS, student, model.config.hidden_size, dataset, validation, params),
            }
        )
        bytes_on_disk = sum(file.stat().st_size for file in Path(scratch).iterdir())
    width = model.config.hidden_size
    padded = 2 * params.max_length * (width + heads * params.max_length)
    publish(
        "caching",
        [
            Figure("texts cached", rate(seconds, "caching", TEXTS), "per second"),
            Figure("operations needed", needed / 1e9 / TEXTS, "GFLOP per text"),
            Figure("machine's matrix rate", flops.PRODUCT / 1e9 * rate(seconds, "product", 1), "GFLOP/s"),
            Figure("share of the matrix rate", flops.percent_of_matrix_rate(seconds, "caching", needed), "%", 70),
            Figure("disk", bytes_on_disk / TEXTS / 1e3, "kB per text"),
            Figure(f"float16 padded to {params.max_length} tokens", padded / 1e3, "kB per text"),
            Figure("smaller than padded", padded * TEXTS / bytes_on_disk, "times"),
            Figure("batches read", rate(seconds, "reading", STEPS), "per second"),
            Figure("batches the student trains on", rate(seconds, "steps", STEPS), "per second"),
            Figure("reading faster than training", ratio(seconds, "steps", "reading"), "times", 5),
        ],
    )


if __name__ == "__main__":
    with exit_on_input_error():
        main()
