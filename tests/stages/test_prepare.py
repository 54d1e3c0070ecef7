"""The command: the line it prints at the end, its error line, and the modules it does not import."""

import subprocess
import sys

import pytest
import yaml
from typer.testing import CliRunner

from stages.prepare import app


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text(
        "text,label\n" + "".join(f"text {row},{'no' if row % 2 else 'yes'}\n" for row in range(40))
    )

    def invoke(*options, **sizes):
        target = {"path": "t.csv", "rows": 4, "validation": 6, "test": 10, **sizes}
        (tmp_path / "params.yaml").write_text(yaml.safe_dump({"data": {"target": target}}))
        return CliRunner().invoke(app, options)

    return invoke


def test_the_line_at_the_end(run, tmp_path):
    result = run()
    assert result.exit_code == 0
    made, seconds = result.stdout.rsplit(", ", 1)
    assert made == (
        "prepare: 0 source, 4 train, 6 validation, 10 test texts (0 leaked, 0 duplicate, 0 empty dropped), "
        "in data/prepared"
    )
    assert seconds.endswith(" s\n")
    assert (tmp_path / "metrics/data.json").is_file()


def test_other_outputs(run, tmp_path):
    assert run("--out", "elsewhere", "--metrics", "m.json").exit_code == 0
    assert len(list((tmp_path / "elsewhere").iterdir())) == 6
    assert (tmp_path / "m.json").is_file()


def test_an_error_is_one_line_and_leaves_nothing(run, tmp_path):
    result = run(path="s.csv")
    assert result.exit_code == 1
    assert result.stderr == "prepare: data.target.path: no such file: s.csv; nearest: t.csv\n"
    assert result.stdout == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["params.yaml", "t.csv"]


def test_neither_help_nor_work_loads_torch(run, tmp_path):
    run()
    code = (
        "import sys\nfrom stages.prepare import app\n"
        "try:\n    app(sys.argv[1:])\nexcept SystemExit as end:\n    assert not end.code, end\n"
        "heavy = {'torch', 'transformers', 'datasets'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    for options in (["--help"], ["--out", str(tmp_path / "o")]):
        done = subprocess.run([sys.executable, "-c", code, *options], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
