"""The cache_teacher stage, from its command line to arrays and an index."""

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from stages.cache_teacher import app

PIECES = ["source-00000-of-00002", "source-00001-of-00002", "target-00000-of-00002", "target-00001-of-00002"]
PIECES += ["target-originals-00000-of-00001"]


@pytest.fixture
def places(uneven, augmented, tiny_classifier):
    return ("--prepared", uneven, "--augmented", augmented, "--teacher", tiny_classifier)


def test_logits_states_and_attention(command, places, tmp_path):
    result = command(app, *places)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert result.stdout.startswith("cache_teacher: 112 texts with logits, hidden, attention, ")
    assert result.stdout.count("\n") == 1
    files = sorted(path.name for path in (tmp_path / "data/teacher").iterdir())
    assert files == sorted(
        f"{piece}{kind}" for piece in PIECES for kind in (".parquet", ".hidden.npy", ".attention.npy")
    )
    index = pd.read_parquet(tmp_path / "data/teacher/target-originals-00000-of-00001.parquet")
    states = np.load(tmp_path / "data/teacher/target-originals-00000-of-00001.hidden.npy", mmap_mode="r")
    assert states.dtype == np.float16
    assert len(states) == index["tokens"].sum()
    assert index["logits"].map(len).unique().tolist() == [2]


def test_logits_alone(command, places, tmp_path):
    off = {"hidden": 0, "attention": 0}
    result = command(app, *places, "--out", "out", cache={"hidden": False, "attention": False}, objectives=off)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("cache_teacher: 112 texts with logits, 0 MB, in out, ")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{piece}.parquet" for piece in PIECES]


@pytest.mark.parametrize(
    ("section", "said"),
    [
        (
            {"cache": {"attention": False}},
            "cache_teacher: params.yaml: cache.attention: got false, but objectives.attention needs it; acc",
        ),
        (
            {"cache": {"hiden": True}},
            "cache_teacher: params.yaml: cache.hiden: unknown parameter; accepted: logits, hidden, atte",
        ),
        ({"max_length": 65}, "cache_teacher: max_length: got 65, but the teacher takes 64 tokens; accepted: 8 to 64\n"),
    ],
)
def test_an_error_is_one_line_and_leaves_nothing(command, one_line, places, section, said):
    assert one_line(command(app, *places, **section)).startswith(said)


def test_no_shards_and_no_teacher(command, one_line, places):
    result = command(app, *places, "--augmented", "nowhere")
    assert one_line(result) == "cache_teacher: nowhere: no such folder; run the augment stage first\n"
    assert "no such model folder: nowhere" in one_line(command(app, *places, "--teacher", "nowhere"))


def test_help():
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    assert "--augmented" in result.output
