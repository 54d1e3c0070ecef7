"""Time per row and peak memory of each stage with 20,000, 200,000 and 2,000,000 rows.

    python -m benchmarks.speed.growth --rounds 1

Texts are random sentences of the default run's words, the models tiny and random, so that the pipeline is measured and
not a model. Each stage is a process of its own; the time per row is computed from the additional time for 180,000 and
1,800,000 more rows, so that start-up does not count.
"""

import math
import os
import shutil
import statistics
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch
import typer
from transformers import BertConfig, BertForMaskedLM, BertModel, BertTokenizer, PreTrainedTokenizerFast

from benchmarks.errors import exit_on_input_error
from benchmarks.speed.default_run import ROOT, output
from benchmarks.speed.measure import ROUNDS, Figure, publish
from benchmarks.speed.processes import Cost, run
from pipeline.data.texts import read_texts
from pipeline.models.loading import quiet
from pipeline.params.yaml12 import read_yaml, to_yaml

SIZES = (20_000, 200_000, 2_000_000)
SHARD = 25_000
"""Neighbours of a shard, from 200,000 on: it is held in memory, and what a killed run may have to draw again."""
STAGES = ("prepare", "augment", "cache_teacher", "distill")


def tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of the default run's 2,000 most frequent words, with letters for other words."""
    texts = read_texts(output("data/prepared") / "source.parquet").texts
    counts = Counter(word for text in texts for word in text.lower().split() if word.isalpha() and word.isascii())
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = [word for word, _ in counts.most_common(2000) if len(word) > 1]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [*special, *letters, *(f"##{letter}" for letter in letters), *words]
    return BertTokenizer(vocab={piece: token_id for token_id, piece in enumerate(pieces)}, model_max_length=64)


def sentences(words: list[str], rows: int, seed: int) -> pd.DataFrame:
    """Random sentences with the lengths of the default run's target texts, half of each class."""
    rng = np.random.default_rng(seed)
    texts = read_texts(output("data/prepared") / "test.parquet").texts
    lengths = rng.choice([max(4, len(text.split())) for text in texts], size=rows)
    drawn = rng.choice(words, size=int(lengths.sum()))
    ends = lengths.cumsum()
    sampled = [" ".join(drawn[end - n : end]) for n, end in zip(lengths, ends, strict=True)]
    return pd.DataFrame({"text": sampled, "label": np.arange(rows) % 2})


def raw_params() -> Any:
    """The project's params as they are written in the file."""
    return read_yaml(ROOT / "params.yaml")


def write_inputs(folder: Path) -> None:
    """Write tables, params of each size, and two models with two layers of width 32."""
    vocabulary = tokenizer()
    sizes = {"num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
    torch.manual_seed(1)
    for name, kind in (("encoder", BertModel), ("masked_lm", BertForMaskedLM)):
        with quiet():
            kind(BertConfig(vocab_size=len(vocabulary), **sizes)).save_pretrained(folder / name)
            vocabulary.save_pretrained(folder / name)
    words = [piece for piece in vocabulary.get_vocab() if len(piece) > 1 and piece.isalpha()]
    sentences(words, 1000, 1).to_csv(folder / "target.csv", index=False)
    project = raw_params()
    for rows in SIZES:
        sentences(words, rows, 2).to_csv(folder / f"source-{rows}.csv", index=False)
        data = {
            "source": {"path": str(folder / f"source-{rows}.csv"), "rows": rows},
            "target": {"path": str(folder / "target.csv"), "per_class": 40, "validation": 100, "test": 200},
        }
        changes = {
            "data": data,
            "teacher": project["teacher"] | {"model": str(folder / "encoder"), "domains": ["target"], "frozen": 0},
            "generator": {"model": str(folder / "masked_lm")},
            "augment": project["augment"] | {"samples": {"source": 1, "target": 1}, "shards": max(8, rows // SHARD)},
            # All files that the teacher's cache may have.
            "cache": {"hidden": True, "attention": True},
            "objectives": {"attention": 1.0, "hidden": 1.0},
            "student": {"layers": 1},
            "distill": project["distill"] | {"epochs": 1, "least_steps": 0, "originals": ["target"]},
        }
        text = to_yaml(project | changes)
        (folder / f"{rows}.yaml").write_text(text, encoding="utf-8")


def stage(name: str, rows: int, folder: Path, **paths: str) -> Cost:
    """Run a stage for a size with an empty work cache; returns its cost."""
    shutil.rmtree(folder / "cache", ignore_errors=True)
    # Files of the stage before must not be flushed to disk while this stage is timed.
    os.sync()
    options = [part for option, path in paths.items() for part in (f"--{option}", str(folder / path))]
    environment = {"XDG_CACHE_HOME": str(folder / "cache")}
    params = ("--params", str(folder / f"{rows}.yaml"))
    return run(sys.executable, "-m", f"stages.{name}", *params, *options, environment=environment)


def train_models(folder: Path) -> None:
    """Train the teacher and the generator, which do not depend on the source: one of each for all sizes."""
    rows = SIZES[0]
    stage("prepare", rows, folder, out="prepared", metrics="data.json")
    stage("teacher", rows, folder, prepared="prepared", out="teacher", metrics="teacher.json")
    stage("generator", rows, folder, out="generator", metrics="generator.json")


def costs(rows: int, folder: Path) -> dict[str, Cost]:
    """Cost of each stage with `rows` rows of the source."""
    prepared = {"prepared": f"{rows}/prepared"}
    augmented = {"augmented": f"{rows}/augmented"}
    stage_costs = {"prepare": stage("prepare", rows, folder, out=f"{rows}/prepared", metrics=f"{rows}/data.json")}
    stage_costs["augment"] = stage("augment", rows, folder, **prepared, generator="generator", out=f"{rows}/augmented")
    stage_costs["cache_teacher"] = stage(
        "cache_teacher", rows, folder, **prepared, **augmented, teacher="teacher", out=f"{rows}/cached"
    )
    outs = {
        "out": "student",
        "selection": "selection.parquet",
        "projection-and-policy": "projection_and_policy.safetensors",
        "curves": "curves",
    }
    outs = {option: f"{rows}/{name}" for option, name in outs.items()}
    stage_costs["distill"] = stage(
        "distill", rows, folder, **prepared, **augmented, teacher="teacher", cache=f"{rows}/cached", **outs
    )
    return stage_costs


def main(rounds: Annotated[int, typer.Option(help="How often; a figure is the median.")] = ROUNDS) -> None:
    """Measure every stage at every size, in turns."""
    measured: list[dict[int, dict[str, Cost]]] = []
    small, middle, large = SIZES
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_inputs(folder)
        train_models(folder)
        for _ in range(rounds):
            measured.append({})
            for rows in SIZES:
                measured[-1][rows] = costs(rows, folder)
                shutil.rmtree(folder / str(rows))
    figures: list[Figure] = []
    for name in STAGES:
        per_row = {
            (fewer, more): [
                (each[more][name].seconds - each[fewer][name].seconds) / (more - fewer) * 1e3 for each in measured
            ]
            for fewer, more in ((small, middle), (middle, large))
        }
        first, second = (statistics.median(times) for times in per_row.values())
        growth = 100 * (second / first - 1) if first > 0 else math.inf
        peak = {rows: statistics.median(each[rows][name].peak for each in measured) / 1e6 for rows in SIZES}
        figures += [
            Figure(f"{name}: time per row up to {middle:,} rows", first, "ms"),
            Figure(f"{name}: time per row up to {large:,} rows", second, "ms"),
            Figure(f"{name}: increase of the time per row", growth, "%", 10, at_most=True),
            Figure(f"{name}: memory at {middle:,} rows", peak[middle], "MB"),
            Figure(f"{name}: additional memory at {large:,} rows", peak[large] - peak[middle], "MB", 500, at_most=True),
        ]
    publish("growth", figures)


if __name__ == "__main__":
    with exit_on_input_error():
        typer.run(main)
