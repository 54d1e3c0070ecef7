"""What the stages of the default import, in real interpreters: no stage waits for a library that it can do without.

Every stage runs to its end on the default's params with tiny models. Any model of transformers imports torch, scipy and
2,700 modules, whatever is done with it; stages with a model run in forks of a process that has these, and what counts
are the modules beyond them.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from pipeline.augment.adapter import save_adapter, with_adapter
from pipeline.models.loading import load_masked_lm
from pipeline.storage.closure import ROOT

LOADED = Path(__file__).parents[1] / "helpers" / "loaded.py"
BY_ANY_MODEL = """
transformers.modeling_utils transformers.models.auto.modeling_auto transformers.models.auto.tokenization_auto
transformers.models.bert.modeling_bert transformers.models.bert.tokenization_bert
"""
LARGE = {
    "accelerate", "datasets", "dvc", "dvclive", "huggingface_hub", "jinja2", "matplotlib", "nltk", "numpy", "onnx",
    "onnxruntime", "onnxscript", "pandas", "peft", "pyarrow", "ray", "rich", "scipy", "scipy.stats", "sklearn",
    "tensorboard", "torch", "transformers",
}  # fmt: skip
"""The libraries that take a tenth of a second or more."""
WITHOUT_MODEL = {
    "commits": ("", 320),
    "tables": ("", 320),
    "prepare": ("numpy pandas pyarrow", 850),
    "rounds": ("", 290),
    "refine --round 2": ("", 290),
}
"""For each stage the large libraries that it imports, and how many modules it may import."""
WITH_MODEL = {
    "generator": ("peft", 500),
    "teacher": ("pyarrow", 260),
    # pyarrow imports pandas for whoever makes arrays of lists.
    "augment": ("pandas pyarrow", 600),
    "cache_teacher": ("pandas pyarrow", 600),
    "distill": ("dvc dvclive pandas pyarrow", 1200),
    "student_ft": ("pyarrow", 260),
    "evaluate": ("pyarrow", 260),
    "export": ("onnx onnxruntime onnxscript pyarrow", 1400),
}
"""The same beyond what any model imports."""
AFTER_MODELS = {"share": ("huggingface_hub numpy pyarrow", 700), "report": ("jinja2 numpy pyarrow", 500)}
ALL = WITHOUT_MODEL | WITH_MODEL | AFTER_MODELS


@pytest.fixture(scope="module")
def imported(reviews: Any, tiny_encoder: Path, tiny_masked_lm: Path, tmp_path_factory: Any) -> dict[str, set[str]]:
    """The modules that each stage imported, by its command line, when the whole pipeline ran."""
    folder = tmp_path_factory.mktemp("imports")
    for seed, name in enumerate(("source", "target")):
        texts = reviews(120, seed)
        labels = [texts.names[label] for label in texts.labels]
        pd.DataFrame({"text": texts.texts, "label": labels}).to_csv(folder / f"{name}.csv", index=False)
    save_adapter(with_adapter(load_masked_lm(tiny_masked_lm, "model")[0], rank=2), folder / "adapter.safetensors")
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["data"]["source"] = {"path": "source.csv", "rows": 20, "sentences": 20}
    params["data"]["target"] = {"path": "target.csv", "per_class": 8, "validation": 20, "test": 20}
    params["teacher"] |= {"model": str(tiny_encoder), "frozen": 1}
    params["generator"] |= {"model": str(tiny_masked_lm), "adapter": "adapter.safetensors"}
    params["student"] |= {"model": str(tiny_encoder), "layers": 2}
    params["augment"] |= {"samples": {"source": 0, "target": 2, "unlabelled": 0}, "shards": 2}
    params["distill"] |= {"epochs": 1, "least_steps": 0}
    params["evaluate"] = {"resamples": 100, "student_ft": {"epochs": 1}}
    params["export"]["max_drop"] = 1.0
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder / "cache")}
    for libraries, stages in (("", WITHOUT_MODEL), (BY_ANY_MODEL, WITH_MODEL), ("", AFTER_MODELS)):
        words = [sys.executable, "-P", str(LOADED), libraries, *stages]
        done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return {stage: set((folder / f"{stage}.modules").read_text().split()) for stage in ALL}


@pytest.mark.slow
@pytest.mark.parametrize("stage", ALL)
def test_a_stage_imports_only_the_large_libraries_that_it_needs(imported: dict[str, set[str]], stage: str) -> None:
    libraries, most = ALL[stage]
    assert imported[stage] & LARGE == set(libraries.split())
    assert len(imported[stage]) <= most


def test_every_stage_is_in_the_table() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert {stage.split()[0] for stage in ALL} == set(stages)


def test_no_garbage_is_looked_for_while_a_stage_imports() -> None:
    code = "import gc, sys; sys.argv[0] = '-m'; import stages; print(gc.get_threshold()[0])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) >= 50_000
