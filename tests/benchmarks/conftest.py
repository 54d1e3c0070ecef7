"""A tiny task and its rows in a folder of their own, with the benchmark's own row files."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from pipeline.data.texts import Texts

ROOT = Path(__file__).parents[2]
BENCH = ROOT / "benchmarks" / "paper"


@pytest.fixture
def bench(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    reviews: Callable[..., Texts],
    tiny_encoder: Path,
    tiny_masked_lm: Path,
) -> Callable[..., Path]:
    """Change to a folder with `tiny`, a task of tiny models, and the rows; returns a function that fills it.

    `bench(rows=["l2a"], after=[], seeds=[1])` returns the benchmark's folder, with these rows in its params.yaml;
    `extra` are more row files by name.
    """
    monkeypatch.chdir(tmp_path)

    def make(
        rows: list[str],
        after: list[str] | None = None,
        seeds: list[int] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> Path:
        here = tmp_path / "benchmarks" / "paper"
        shutil.copytree(BENCH / "rows", here / "rows")
        for name, row in (extra or {}).items():
            (here / "rows" / f"{name}.yaml").write_text(yaml.safe_dump(row))
        (here / "notes.md").write_text("# Notes\n")
        raw = tmp_path / "data"
        raw.mkdir()
        for name, number, seed in (("source", 200, 1), ("target", 400, 2)):
            texts = reviews(number, seed)
            labels = [texts.names[label] for label in texts.labels]
            pd.DataFrame({"text": texts.texts, "label": labels}).to_csv(raw / f"{name}.csv", index=False)
        params = yaml.safe_load((ROOT / "params.yaml").read_text())
        params |= {"max_length": 24, "generator": {"model": str(tiny_masked_lm)}}
        params["data"] = {
            "source": {"path": "data/source.csv", "rows": 24},
            "target": {"path": "data/target.csv", "per_class": 6, "validation": 20, "test": 40},
        }
        params["teacher"] |= {"model": str(tiny_encoder), "epochs": {"source": 1, "target": 1}, "batch_size": 8}
        params["teacher"]["frozen"] = 0
        params["student"] |= {"init": "teacher", "model": None}
        params["augment"] |= {"samples": {"source": 1, "target": 3}, "shards": 2}
        params["distill"] |= {"epochs": 1, "least_steps": 4, "batch_size": 16}
        params["evaluate"] = {"resamples": 100, "student_ft": {"epochs": 1}}
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
        (here / "tasks").mkdir()
        (here / "tasks" / "tiny.yaml").write_text("{what: a tiny task, preset: params.yaml}\n")
        none: dict[str, Any] = {"tasks": [], "rows": [], "seeds": []}
        asked = {
            "method": yaml.safe_load((BENCH / "params.yaml").read_text())["method"]
            | {"augment": {"samples": params["augment"]["samples"]}},
            "main": {"tasks": ["tiny"], "rows": rows, "after": after or [], "seeds": seeds or [1]},
            "tasks": none,
            "pairs": none,
            "studies": {**none, "tasks_of_rows": ["tiny"], "rows_of_tasks": []},
        }
        (here / "params.yaml").write_text(yaml.safe_dump(asked))
        return here

    return make
