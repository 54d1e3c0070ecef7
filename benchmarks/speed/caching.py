"""Caching the teacher's logits, hidden states and attention: rate, size on disk, and speed of reading.

    python -m benchmarks.speed.caching

The models and losses are the paper's.
"""

import tempfile
from pathlib import Path

import numpy as np

from benchmarks.errors import exit_on_input_error
from benchmarks.speed import flops
from benchmarks.speed.default_run import output
from benchmarks.speed.measure import Figure, publish, rate, ratio, side_by_side, timed
from benchmarks.speed.timed_steps import (
    dataset_with_teacher,
    default_student,
    default_validation,
    paper_params,
    paper_teacher,
    some_neighbours,
    time_steps,
)
from pipeline.compute.batching import epoch_batches
from pipeline.distill.cache_teacher import run_teacher
from pipeline.models.loading import load_tokenizer

TEXTS = 480
STEPS = 8


def main() -> None:
    """Measure some neighbours of the default run."""
    params, model, piece = paper_params(), paper_teacher(), some_neighbours(TEXTS)
    tokenizer, heads = load_tokenizer(output("models/teacher"), "teacher"), model.config.num_attention_heads
    student, validation = default_student(params), default_validation(params)
    with tempfile.TemporaryDirectory() as scratch:
        kept, written = Path(scratch, "kept"), Path(scratch, "written")
        kept.mkdir()
        written.mkdir()
        dataset = dataset_with_teacher(model, params, kept, TEXTS)
        needed = flops.classifier(model.config, dataset.encoded.lengths.tolist())
        batches = epoch_batches(dataset.encoded.lengths, size=params.distill.batch_size, rng=np.random.default_rng(1))

        def read() -> None:
            for rows in batches[:STEPS]:
                cached = dataset.cache_rows[rows]
                dataset.teacher_logits(rows)
                dataset.cache.hidden(cached)
                dataset.cache.attention(cached, heads)

        seconds = side_by_side(
            {
                "caching": timed(lambda: run_teacher(model, tokenizer, piece, written / "piece", params, "")),
                "product": flops.time_product,
                "reading": timed(read),
                "steps": lambda: time_steps(STEPS, student, model.config.hidden_size, dataset, validation, params),
            }
        )
        bytes_on_disk = sum(file.stat().st_size for file in written.iterdir())
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
