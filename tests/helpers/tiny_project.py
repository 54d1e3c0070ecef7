"""A git and DVC repository with this project's code, tiny random models and small tables in it."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from pipeline.data.texts import Texts

ROOT = Path(__file__).parents[2]


class Repo:
    """A git and DVC repository with this project's code in it."""

    def __init__(self, folder: Path, programs: Path) -> None:
        """Keep where it is, and the folder of the programs `python`, `dvc` and `l2a` that it uses."""
        self.folder = folder
        self.programs = programs
        keep = ("HOME", "L2A_PRECISION", "LANG", "OMP_NUM_THREADS", "TMPDIR")
        self.environment = {name: os.environ[name] for name in keep if name in os.environ}
        self.environment |= {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "XDG_CACHE_HOME": str(folder.parent / "cache"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "HF_HUB_OFFLINE": "1",
            # DVC asks the network for its newest version, but not where this is set.
            "CI": "true",
        }

    def run(self, *words: str) -> str:
        """Run a command in the repository and return what it printed."""
        done = subprocess.run(words, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def dvc(self, *words: str) -> str:
        return self.run("dvc", *words)

    def stages_run(self, *words: str) -> list[str]:
        """Run a DVC command and return the stages it executed, in order."""
        return re.findall(r"Running stage '([\w@]+)'", self.dvc(*words))

    def changed(self) -> set[str]:
        """The stages whose inputs or params are others than those they last ran with."""
        return set(json.loads(self.dvc("status", "--json")))


def lay_out(
    folder: Path, *, programs: Path, reviews: Callable[..., Texts], encoder: Path, masked_lm: Path, **changes: Any
) -> Repo:
    """Make the repository, committed and not yet run.

    Args:
        changes: sections of its params file, merged into the tiny ones.
    """
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("pipeline", "stages"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in ("dvc.yaml", ".gitignore", ".dvcignore"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "data" / "embedded").mkdir(parents=True)
    (folder / "data" / "embedded" / "generator.safetensors").write_bytes(b"")
    raw = folder / "data" / "raw"
    raw.mkdir()
    for name, rows, seed in (("source", 400, 1), ("target", 600, 2)):
        texts = reviews(rows, seed)
        labels = [texts.names[label] for label in texts.labels]
        pd.DataFrame({"text": texts.texts, "label": labels}).to_csv(raw / f"{name}.csv", index=False)
    shutil.copytree(encoder, folder / "tiny" / "encoder")
    shutil.copytree(masked_lm, folder / "tiny" / "masked_lm")
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params |= {"max_length": 24, "generator": {"model": "tiny/masked_lm"}}
    params["data"] = {
        "source": {"path": "data/raw/source.csv", "rows": 40},
        "target": {"path": "data/raw/target.csv", "per_class": 8, "validation": 20, "test": 40},
        "unlabelled": None,
    }
    params["teacher"] |= {"model": "tiny/encoder", "epochs": {"source": 1, "target": 1}, "frozen": 0, "batch_size": 8}
    params["augment"] |= {"samples": {"source": 1, "target": 3}, "shards": 2}
    # The paper's method: every loss, and so every file of the teacher's cache.
    params["cache"] = {"hidden": True, "attention": True}
    params["student"] |= {"init": "teacher", "layers": 2, "model": None, "pooling": "first_token"}
    params["objectives"] |= {"attention": 1.0, "hidden": 1.0}
    params["distill"] |= {
        "epochs": 2,
        "least_steps": 0,
        "batch_size": 16,
        "originals": ["target", "unlabelled"],
        "dropout": True,
    }
    params["evaluate"] = {"resamples": 100, "student_ft": {"epochs": 1}}
    params["export"] |= {"max_drop": 1.0}
    for section, change in changes.items():
        params[section] = params[section] | change if isinstance(change, dict) else change
    (folder / "params.yaml").write_text(yaml.safe_dump(params))

    repo = Repo(folder, programs)
    repo.run("git", "init", "-q")
    repo.run("git", "config", "user.email", "somebody@example.com")
    repo.run("git", "config", "user.name", "Somebody")
    repo.dvc("init", "-q")
    shutil.copy(ROOT / ".dvc" / "config", folder / ".dvc" / "config")
    shutil.copytree(ROOT / ".dvc" / "plots", folder / ".dvc" / "plots")
    repo.run("git", "add", "-A")
    repo.run("git", "commit", "-qm", "before")
    return repo
