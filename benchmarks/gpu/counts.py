"""How many tokens each stage's models read, without padding, and the operations of matrix products that this takes.

A backward pass counts as two forward passes. What stages do beside is not counted: validation, the selector's rewards.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.gpu.inputs import PREPARED, read_params
from benchmarks.gpu.work import AUGMENTED
from benchmarks.speed import flops
from pipeline.augment.shards import read_augmented
from pipeline.compute.batching import encode
from pipeline.data.texts import DOMAINS, TEACHER_SOURCE, Texts, read_texts
from pipeline.distill.dataset import count_epochs
from pipeline.distill.teacher_cache import TeacherCache
from pipeline.models.loading import load_config, load_tokenizer


@dataclass(frozen=True)
class Count:
    """What a stage has to do."""

    tokens: float
    operations: float


def counts(folder: Path, out: Path) -> dict[str, Count]:
    """By stage, what it had to do on the inputs of a folder, given its outputs in `out`."""
    params, prepared = read_params(folder), folder / PREPARED
    teacher, student = out / "teacher", out / "student"
    tokenizer = load_tokenizer(teacher, "teacher")
    configs = {name: load_config(path, name) for name, path in (("teacher", teacher), ("student", student))}

    def lengths(texts: Texts) -> list[int]:
        return encode(tokenizer, texts.texts, texts.pairs, params.max_length).lengths.tolist()

    epochs = params.teacher.epochs
    trained = [
        (lengths(read_texts(prepared / file)), passes)
        for file, passes in ((TEACHER_SOURCE, epochs.source), (DOMAINS["target"], epochs.target))
    ]
    neighbours = read_augmented(out / AUGMENTED, ["text", "distance"])
    drawn = encode(tokenizer, neighbours["text"].to_pylist(), None, params.max_length).lengths.tolist()
    generator = load_config(out / "generator", "generator")
    cached = TeacherCache(out / "cache").tokens.tolist()
    passes, _ = count_epochs(len(cached), params.distill)
    tested = [each for name in ("test", "validation") for each in lengths(read_texts(prepared / f"{name}.parquet"))]
    head = flops.masked_lm_head(generator, int(np.sum(neighbours["distance"].to_pylist())))
    return {
        "teacher": Count(
            sum(times * sum(texts) for texts, times in trained),
            sum(3 * times * flops.classifier(configs["teacher"], texts) for texts, times in trained),
        ),
        "augment": Count(sum(drawn), flops.encoder(generator, drawn) + head),
        "cache_teacher": Count(sum(cached), flops.classifier(configs["teacher"], cached)),
        "distill": Count(passes * sum(cached), 3 * passes * flops.classifier(configs["student"], cached)),
        "evaluate": Count(
            len(configs) * sum(tested),
            sum(flops.first_token_classifier(config, tested) for config in configs.values()),
        ),
    }
