"""Stages run by their command lines in an empty folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from typer import Typer
from typer.testing import CliRunner


@pytest.fixture
def command(tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a stage on a params file over tiny models: `command(app, "--out", folder, selector={"kind": "none"})`."""
    monkeypatch.chdir(tmp_path)

    def run(app: Typer, *options: object, **sections: Any) -> Result:
        params: dict[str, Any] = {
            "data": {"target": {"path": "target.csv", "rows": 8}},
            "max_length": 16,
            "teacher": {"model": str(tiny_encoder)},
            "student": {"layers": 2},
            "augment": {"samples": {"source": 1, "target": 3}, "shards": 2},
            **sections,
        }
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
        return CliRunner().invoke(app, [str(option) for option in options])

    return run


@pytest.fixture
def one_line(tmp_path: Path) -> Callable[[Result], str]:
    """The line of a stage that stopped at an error: nothing else is printed, and the folder has no new files."""

    def line(result: Result) -> str:
        assert result.exit_code == 1
        assert isinstance(result.exception, SystemExit)
        assert result.stdout == ""
        assert result.stderr.count("\n") == 1
        assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]
        return str(result.stderr)

    return line
