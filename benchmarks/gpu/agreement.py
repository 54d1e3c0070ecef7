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
    drawn, expected = (_words(folder / AUGMENTED) for folder in (out, reference))
    same = [drawn.get(id_) == words for id_, words in expected.items()]
    log_p, expected_log_p = (_log_p(folder / AUGMENTED) for folder in (out, reference))
    figures = [
        Figure("logits: standard deviation on the CPU", float(theirs.std()), ""),
        Figure("logits: largest difference from the CPU's", float(np.abs(ours - theirs).max()), ""),
        Figure("logits: mean difference from the CPU's", float(np.abs(ours - theirs).mean()), ""),
        Figure("logits: texts with the CPU's class", 100 * float(np.mean(ours.argmax(1) == theirs.argmax(1))), "%"),
        Figure("neighbours: with the CPU's words", 100 * float(np.mean(same)), "%"),
        Figure("neighbours: mean log P of a word", log_p, ""),
        Figure("neighbours: mean log P of a word on the CPU", expected_log_p, ""),
    ]
    scores, before = (json.loads((folder / EVALUATION).read_text(encoding="utf-8")) for folder in (out, reference))
    for model in ("teacher", "student"):
        figures += [
            Figure(f"{model}: accuracy", 100 * scores[model]["accuracy"], "%"),
            Figure(f"{model}: accuracy on the CPU", 100 * before[model]["accuracy"], "%"),
        ]
    return figures


def _words(augmented: Path) -> dict[str, tuple[list[int], list[str]]]:
    """The words of each neighbour that changed, and where, by its id."""
    table = read_augmented(augmented, ["id", "positions", "new_words"])
    changes = zip(table["positions"].to_pylist(), table["new_words"].to_pylist(), strict=True)
    return dict(zip(table["id"].to_pylist(), changes, strict=True))


def _log_p(augmented: Path) -> float:
    """The mean over all words drawn of their log-probability in nats."""
    table = read_augmented(augmented, ["distance", "log_p_words"])
    return float(np.sum(table["log_p_words"].to_pylist()) / np.sum(table["distance"].to_pylist()))
