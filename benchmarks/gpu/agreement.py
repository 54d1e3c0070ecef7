"""How far outputs are from those of the CPU: logits, neighbours and scores."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from benchmarks.gpu.work import AUGMENTED, EVALUATION, LOGITS
from benchmarks.speed.measure import Figure
from pipeline.augment.shards import read_augmented


def agreement(reference: Path, out: Path) -> list[Figure]:
    """Compare two folders of `do_work`.

    Logits are those of one classifier. Teacher and student were trained on either machine, and rounding adds up from
    step to step: of them the scores are compared.
    """
    ours, theirs = (load_file(folder / LOGITS)["logits"] for folder in (out, reference))
    neighbours, expected = (_texts(folder / AUGMENTED) for folder in (out, reference))
    same = [neighbours.get(id_) == text for id_, text in expected.items()]
    figures = [
        Figure("logits: largest difference from the CPU's", float(np.abs(ours - theirs).max()), ""),
        Figure("logits: mean difference from the CPU's", float(np.abs(ours - theirs).mean()), ""),
        Figure("logits: texts with the CPU's class", 100 * float(np.mean(ours.argmax(1) == theirs.argmax(1))), "%"),
        Figure("neighbours: with the CPU's words", 100 * float(np.mean(same)), "%"),
    ]
    scores, before = (json.loads((folder / EVALUATION).read_text(encoding="utf-8")) for folder in (out, reference))
    for model in ("teacher", "student"):
        figures += [
            Figure(f"{model}: accuracy", 100 * scores[model]["accuracy"], "%"),
            Figure(f"{model}: accuracy on the CPU", 100 * before[model]["accuracy"], "%"),
        ]
    return figures


def _texts(augmented: Path) -> dict[str, str]:
    table = read_augmented(augmented, ["id", "text"])
    return dict(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))
