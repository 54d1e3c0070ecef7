"""The evaluate stage's command line."""

import json
import subprocess
import sys

import pytest
import yaml
from typer.testing import CliRunner

from stages.evaluate import app


def test_three_models_are_measured(prepared, tiny_classifier, tmp_path):
    params = {"data": {"target": {"path": "target.csv", "rows": 8}}, "max_length": 16, "evaluate": {"resamples": 100}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    metrics, plots = tmp_path / "evaluation.json", tmp_path / "predictions.csv"
    arguments = ["--params", tmp_path / "params.yaml", "--prepared", prepared, "--metrics", metrics, "--plots", plots]
    for name in ("--teacher", "--student", "--student-ft"):
        arguments += [name, tiny_classifier]
    result = CliRunner().invoke(app, [str(part) for part in arguments])
    assert result.exit_code == 0, result.output
    assert result.output.startswith("evaluate: accuracy on 30 test texts: teacher 0.")
    assert list(json.loads(metrics.read_text())) == ["teacher", "student", "student_ft"]
    assert plots.read_text().splitlines()[0] == "id,actual,teacher,student,student_ft"


@pytest.mark.parametrize("stage", ["teacher", "student_ft", "evaluate"])
def test_help_does_not_import_torch(stage):
    code = f"""
import sys
from typer.testing import CliRunner
from stages.{stage} import app
assert CliRunner().invoke(app, ["--help"]).exit_code == 0
assert "torch" not in sys.modules and "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
