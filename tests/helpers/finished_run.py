"""What a run of the pipeline leaves, made up: small, and known to the last number."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from pipeline.data.texts import Texts, write_texts
from pipeline.storage.columns import augmented_schema

HOSTILE = "</script><script>alert(1)</script> ]]> \"q\" 'q' &amp; <img src=x onerror=alert(1)> \x07"
METRICS = {"classification": ("accuracy", "f1", "mcc"), "regression": ("r2", "pearson", "spearman", "mae", "rmse")}
LATENCY = {"median_ms": 4.0, "p95_ms": 5.0, "texts_per_second": 900.0}


def write_run(
    folder: Path, *, task: str = "classification", word: str = "fine", kind: str = "reinforced", rows: int = 12
) -> Path:
    """Write the files of a run into a folder, under the names that the report stage looks for.

    Args:
        word: stands in every text, label name and path.
    """
    names = [f"bad {word}", f"good {word}"] if task == "classification" else []
    texts = [f"text {row} is {word}" for row in range(rows)]
    labels = np.arange(rows) % 2 if names else np.linspace(0, 1, rows, dtype=np.float32)
    ids = [f"target-{row:06d}" for row in range(rows)]
    (folder / "data/prepared").mkdir(parents=True)
    write_texts(folder / "data/prepared/test.parquet", Texts(ids, texts, None, labels, names), "target")
    _predictions(folder, ids, labels, names)
    _metrics(folder, task, names, rows)
    _neighbours(folder, task, word, kind)
    curve(folder, "loss/dark", [(step, 1 / step) for step in range(1, 600)])
    curve(folder, "validation/metric", [(step, step / 600) for step in range(1, 600)])
    curve(folder, "kept/source", [(300, 0.9), (599, 0.8)])
    curve(folder, "kept/target", [(300, 0.9), (599, 0.7)])
    curve(folder, "reward", [(599, 0.0)])
    params = {"task": task, "data": {"target": {"path": f"{word}.csv", "rows": 8}}, "selector": {"kind": kind}}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    return folder


def _predictions(folder: Path, ids: list[str], labels: Any, names: list[str]) -> None:
    """The teacher errs at row 0, the student at rows 1 and 2, Student-FT at rows 1 and 3; numbers are off by 0.5."""
    wrong = {"teacher": [0], "student": [1, 2], "student_ft": [1, 3]}
    columns: dict[str, Any] = {"id": ids, "actual": [names[label] for label in labels] if names else labels}
    for model, rows in wrong.items():
        off = np.isin(np.arange(len(ids)), rows)
        columns[model] = [names[label] for label in np.where(off, 1 - labels, labels)] if names else labels + off / 2
    (folder / "plots").mkdir()
    pd.DataFrame(columns).to_csv(folder / "plots/predictions.csv", index=False, lineterminator="\n")


def _metrics(folder: Path, task: str, names: list[str], rows: int) -> None:
    (folder / "metrics").mkdir()
    spread = dict.fromkeys(names, rows // 2) if names else {"mean": 0.5, "sd": 0.3, "min": 0.0, "max": 1.0}
    split = {"rows": rows, "labels": spread}
    data = {
        "task": task,
        "labels": names,
        "splits": {"source": {"rows": 0}, "train": split, "validation": split, "test": split},
        "read": {"source": 0, "target": 100},
        "dropped": {"source": {"empty": 0}, "target": {"empty": 3}},
        "unused": {"source": 0, "target": 61},
    }
    (folder / "metrics/data.json").write_text(json.dumps(data))
    found = {}
    for model, score in (("teacher", 0.9), ("student", 0.8), ("student_ft", 0.6)):
        numbers = {}
        for metric in METRICS[task]:
            numbers |= {metric: score, f"{metric}_low": score - 0.1, f"{metric}_high": score + 0.05}
        large = 4 if model == "teacher" else 1
        found[model] = numbers | {
            f"validation_{METRICS[task][0]}": score,
            "parameters": large * 1000,
            "bytes": large * 4000,
            "sentences_per_second": 60.0 / large,
        }
    if task == "regression":
        found["always_mean"] = {"mean": 0.5, "r2": -0.01, "mae": 0.25, "rmse": 0.3}
    (folder / "metrics/evaluation.json").write_text(json.dumps(found))


def serving(folder: Path, metric: str = "accuracy") -> None:
    """Add what export leaves; the student in PyTorch was not timed with long texts."""
    model = {"bytes": 4_000_000, "tokens_16": LATENCY}
    student = model | {metric: 0.8}
    told = {
        "teacher": model | {"bytes": 40_000_000, "tokens_64": LATENCY | {"median_ms": 20.0}},
        "student": student,
        "int8": student | {"tokens_64": LATENCY, "bytes": 2_000_000, "agreement": 0.987, "largest_difference": 0.0123},
        "vocabulary": {"pieces": 10, "of": 20, "test_texts_split_otherwise": 0.1},
    }
    (folder / "metrics/serving.json").write_text(json.dumps(told))


def _neighbours(folder: Path, task: str, word: str, kind: str) -> None:
    """Twenty neighbours, of which number 0 has the lowest π and is the only one dropped."""
    rows = [
        {
            "id": f"target-000000-{sample:03d}",
            "original_id": "target-000000",
            "domain": "target" if sample % 2 else "source",
            "text": f"the {word} one {sample}",
            "original_text": f"the {word} two {sample}",
            "label": f"good {word}" if task == "classification" else 0.5,
            "distance": 1 + sample % 3,
        }
        for sample in range(20)
    ]
    (folder / "data/augmented").mkdir()
    for shard in range(2):
        table = pa.Table.from_pylist(rows[shard::2], schema=augmented_schema(task))
        pq.write_table(table, folder / f"data/augmented/target-0000{shard}-of-00002.parquet")
    pi = [0.5 + sample / 100 if kind == "reinforced" else 0.9 for sample in range(20)]
    table = {
        "id": [row["id"] for row in rows],
        "domain": [row["domain"] for row in rows],
        "pi": pa.array(pi, pa.float32()),
        "kept": [sample > 0 or kind == "none" for sample in range(20)],
    }
    pq.write_table(pa.table(table), folder / "data/selection.parquet")


def curve(folder: Path, name: str, points: list[tuple[int, float]]) -> None:
    """Write a curve as dvclive does."""
    file = folder / "dvclive/plots/metrics" / f"{name}.tsv"
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"step\t{file.stem}", *(f"{step}\t{value}" for step, value in points)]
    file.write_text("\n".join(lines) + "\n")
