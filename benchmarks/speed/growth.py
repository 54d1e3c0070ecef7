"""Whether a row costs the same among two hundred thousand as among twenty thousand, and what memory that takes.

    python -m benchmarks.speed.growth

Texts are random sentences over the default's words, the models tiny and random, so that the pipeline is measured and
not a model. Each stage is a process of its own; the time a row is what 180,000 rows more take, or 18,000, so that
start-up does not count.
"""

import math
import os
import shutil
import statistics
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from transformers import BertConfig, BertForMaskedLM, BertModel, BertTokenizer, PreTrainedTokenizerFast

from benchmarks.one_line import one_line
from benchmarks.speed.made import ROOT, made
from benchmarks.speed.measure import ROUNDS, Figure, publish
from benchmarks.speed.processes import Cost, run
from pipeline.data.texts import read_texts
from pipeline.models.loading import quiet

SIZES = (2_000, 20_000, 200_000)
STAGES = ("prepare", "augment", "cache_teacher", "distill")


def tokenizer() -> PreTrainedTokenizerFast:
    """Knows the default's 2,000 most frequent words, and letters for the others."""
    texts = read_texts(made("data/prepared") / "source.parquet").texts
    counted = Counter(word for text in texts for word in text.lower().split() if word.isalpha() and word.isascii())
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = [word for word, _ in counted.most_common(2000) if len(word) > 1]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [*special, *letters, *(f"##{letter}" for letter in letters), *words]
    return BertTokenizer(vocab={piece: place for place, piece in enumerate(pieces)}, model_max_length=64)


def sentences(words: list[str], rows: int, seed: int) -> pd.DataFrame:
    """Random sentences as long as the default's target has them, half of each class."""
    chance = np.random.default_rng(seed)
    texts = read_texts(made("data/prepared") / "test.parquet").texts
    lengths = chance.choice([max(4, len(text.split())) for text in texts], size=rows)
    drawn = chance.choice(words, size=int(lengths.sum()))
    ends = lengths.cumsum()
    said = [" ".join(drawn[end - n : end]) for n, end in zip(lengths, ends, strict=True)]
    return pd.DataFrame({"text": said, "label": np.arange(rows) % 2})


def asked() -> Any:
    """The project's params as they are written."""
    return yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))


def lay_out(folder: Path) -> None:
    """Write tables, params of each size, and two models of two layers, 32 wide."""
    known = tokenizer()
    sizes = {"num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
    torch.manual_seed(1)
    for name, kind in (("encoder", BertModel), ("masked_lm", BertForMaskedLM)):
        with quiet():
            kind(BertConfig(vocab_size=len(known), **sizes)).save_pretrained(folder / name)
            known.save_pretrained(folder / name)
    words = [piece for piece in known.get_vocab() if len(piece) > 1 and piece.isalpha()]
    sentences(words, 1000, 1).to_csv(folder / "target.csv", index=False)
    project = asked()
    for rows in SIZES:
        sentences(words, rows, 2).to_csv(folder / f"source-{rows}.csv", index=False)
        data = {
            "source": {"path": str(folder / f"source-{rows}.csv"), "rows": rows},
            "target": {"path": str(folder / "target.csv"), "per_class": 40, "validation": 100, "test": 200},
        }
        changes = {
            "data": data,
            "teacher": project["teacher"] | {"model": str(folder / "encoder"), "domains": ["target"]},
            "generator": {"model": str(folder / "masked_lm")},
            "augment": project["augment"] | {"samples": {"source": 1, "target": 1}},
            "student": {"layers": 1},
            "distill": project["distill"] | {"epochs": 1, "least_steps": 0},
        }
        text = yaml.safe_dump(project | changes)
        (folder / f"{rows}.yaml").write_text(text, encoding="utf-8")


def stage(name: str, rows: int, folder: Path, **paths: str) -> Cost:
    """Run a stage for a size, with an empty work cache, and say what it cost."""
    shutil.rmtree(folder / "cache", ignore_errors=True)
    # What the stage before wrote does not reach the disk in this one's time.
    os.sync()
    options = [word for option, path in paths.items() for word in (f"--{option}", str(folder / path))]
    environment = {"XDG_CACHE_HOME": str(folder / "cache")}
    params = ("--params", str(folder / f"{rows}.yaml"))
    return run(sys.executable, "-m", f"stages.{name}", *params, *options, environment=environment)


def trained(folder: Path) -> None:
    """Make the teacher and the generator, which know nothing of the source: one of each for all sizes."""
    rows = SIZES[0]
    stage("prepare", rows, folder, out="prepared", metrics="data.json")
    stage("teacher", rows, folder, prepared="prepared", out="teacher", metrics="teacher.json")
    stage("generator", rows, folder, out="generator", metrics="generator.json")


def costs(rows: int, folder: Path) -> dict[str, Cost]:
    """What each stage costs with so many rows of the source."""
    prepared = {"prepared": f"{rows}/prepared"}
    augmented = {"augmented": f"{rows}/augmented"}
    found = {"prepare": stage("prepare", rows, folder, out=f"{rows}/prepared", metrics=f"{rows}/data.json")}
    found["augment"] = stage("augment", rows, folder, **prepared, generator="generator", out=f"{rows}/augmented")
    found["cache_teacher"] = stage(
        "cache_teacher", rows, folder, **prepared, **augmented, teacher="teacher", out=f"{rows}/cached"
    )
    outs = {"out": "student", "selection": "selection.parquet", "learner": "learner.safetensors", "curves": "curves"}
    outs = {option: f"{rows}/{name}" for option, name in outs.items()}
    found["distill"] = stage(
        "distill", rows, folder, **prepared, **augmented, teacher="teacher", cache=f"{rows}/cached", **outs
    )
    return found


def main() -> None:
    """Measure every stage at every size, in turn."""
    rounds: list[dict[int, dict[str, Cost]]] = []
    small, middle, large = SIZES
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        lay_out(folder)
        trained(folder)
        for _ in range(ROUNDS):
            rounds.append({})
            for rows in SIZES:
                rounds[-1][rows] = costs(rows, folder)
                shutil.rmtree(folder / str(rows))
    figures: list[Figure] = []
    for name in STAGES:
        a_row = {
            (fewer, more): [
                (each[more][name].seconds - each[fewer][name].seconds) / (more - fewer) * 1e3 for each in rounds
            ]
            for fewer, more in ((small, middle), (middle, large))
        }
        first, then = (statistics.median(taken) for taken in a_row.values())
        growth = 100 * (then / first - 1) if first > 0 else math.inf
        peak = {rows: statistics.median(each[rows][name].peak for each in rounds) / 1e6 for rows in SIZES}
        figures += [
            Figure(f"{name}: a row, up to {middle:,}", first, "ms"),
            Figure(f"{name}: a row, up to {large:,}", then, "ms"),
            Figure(f"{name}: the latter longer by", growth, "%", 10, at_most=True),
            Figure(f"{name}: memory at {small:,} rows", peak[small], "MB"),
            Figure(f"{name}: more at {large:,}", peak[large] - peak[small], "MB", 500, at_most=True),
        ]
    publish("growth", figures)


if __name__ == "__main__":
    with one_line():
        main()
