"""Filters and labels that are equal to Python, and so to DVC, but mean other rows: their stages run again."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from helpers.tiny_project import Repo

KINDS = ["1", "1.0", "True", "10", "010", "010"]


@pytest.mark.slow
def test_one_and_true_are_other_rows_through_dvc_repro(project: Callable[..., Repo], tmp_path: Path) -> None:
    repo = project(tmp_path / "project", data={"source": None})
    path, params = repo.folder / "data" / "raw" / "target.csv", repo.folder / "params.yaml"
    rows = pd.read_csv(path).assign(kind=[KINDS[row // 2 % len(KINDS)] for row in range(600)])
    rows.to_csv(path, index=False)
    written = params.read_text()

    def prepared_with(target: str) -> tuple[list[str], dict[str, int]]:
        """The stages that run with these keys of the target, and the rows of each class that is then trained on."""
        params.write_text(written.replace("path: data/raw/target.csv", f"path: data/raw/target.csv\n    {target}"))
        ran = repo.stages_run("repro", "prepare")
        metrics = json.loads((repo.folder / "metrics" / "data.json").read_text())
        return ran, {"rows": metrics["read"]["target"]} | metrics["splits"]["train"]["labels"]

    classes = {"negative": 8, "positive": 8}
    again = ["tables", "prepare"]
    ran, kept = prepared_with("where: {kind: [1, 010]}")
    assert (set(ran), kept) == ({"commits", *again}, {"rows": 400} | classes)
    # 010 is the number and the text; in a CSV file a boolean is True, and 1.0 is the number and the text.
    assert prepared_with("where: {kind: [1, 10]}") == (again, {"rows": 200} | classes)
    assert prepared_with("where: {kind: [true, 10]}") == (again, {"rows": 200} | classes)
    assert prepared_with("where: {kind: [1.0, 10]}") == (again, {"rows": 300} | classes)
    # Any other change of params.yaml leaves the tables as they are.
    written = written.replace("alpha: 1.0", "alpha: 0.5")
    assert prepared_with("where: {kind: [1.0, 10]}")[0] == ["tables"]

    keys = "columns: {label: kind}\n    where: {kind: ['1', '10', '010']}\n    labels"
    assert prepared_with(f"{keys}: {{10: ten}}")[1] == {"rows": 400, "010": 8, "1": 8, "ten": 8}
    assert prepared_with(f"{keys}: {{010: ten}}") == (again, {"rows": 400, "1": 8, "10": 8, "ten": 8})
