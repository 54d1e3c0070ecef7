"""What becomes of a distillation's figures: dvclive's files, and TensorBoard's if somebody asks for them."""

import importlib.util
from pathlib import Path

import pandas as pd
import pytest

from pipeline.distill.curves import PLOTTED, TENSORBOARD, publish_curves
from pipeline.errors import InputError

FIGURES = [(1, {"reward": 0.25, "loss/dark": 0.5}), (2, {"reward": -0.125, "loss/dark": 0.375, "return": 0.0625})]


def logged(folder: Path) -> None:
    with publish_curves(folder) as log:
        for step, figures in FIGURES:
            log(step, figures)


def test_every_figure_is_a_line_and_what_is_off_a_point_at_0(tmp_path: Path) -> None:
    logged(tmp_path / "curves")
    metrics = tmp_path / "curves" / "plots" / "metrics"
    reward = pd.read_csv(metrics / "reward.tsv", sep="\t")
    assert (reward["step"].tolist(), reward["reward"].tolist()) == ([1, 2], [0.25, -0.125])
    for name in PLOTTED - {"reward", "loss/dark"}:
        off = pd.read_csv(metrics / f"{name}.tsv", sep="\t")
        assert off.iloc[:, 1].tolist() == [0.0]


def test_a_run_that_fails_leaves_the_curves_before_it(tmp_path: Path) -> None:
    logged(tmp_path / "curves")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(RuntimeError, match="no more"), publish_curves(tmp_path / "curves") as log:
        log(1, {"reward": 9.0})
        raise RuntimeError("no more")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_tensorboard_sees_the_same_and_the_curves_stay_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logged(tmp_path / "without")
    monkeypatch.setenv(TENSORBOARD, str(tmp_path / "watched" / "runs"))
    logged(tmp_path / "with")
    [run] = (tmp_path / "watched" / "runs").iterdir()
    seen = EventAccumulator(str(run)).Reload()
    assert set(seen.Tags()["scalars"]) == {"reward", "loss/dark", "return"}
    for name in ("reward", "loss/dark", "return"):
        drawn = [(event.step, event.value) for event in seen.Scalars(name)]
        assert drawn == [(step, figures[name]) for step, figures in FIGURES if name in figures]
    without, beside = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.tsv")}
        for name in ("without", "with")
    )
    assert without == beside


def test_nothing_of_tensorboard_is_left_by_a_run_that_logs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TENSORBOARD, str(tmp_path / "runs"))
    with pytest.raises(InputError), publish_curves(tmp_path / "curves"):
        raise InputError("max_length: refused")
    assert list((tmp_path / "runs").iterdir()) == []


def test_of_several_processes_the_first_alone_writes_for_tensorboard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TENSORBOARD, str(tmp_path / "runs"))
    monkeypatch.setenv("RANK", "1")
    logged(tmp_path / "curves")
    assert not (tmp_path / "runs").exists()


def test_a_full_disk_keeps_nobody_from_his_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setenv(TENSORBOARD, str(tmp_path / "runs"))
    monkeypatch.setattr("torch.utils.tensorboard.SummaryWriter.add_scalar", full)
    logged(tmp_path / "curves")
    assert len(pd.read_csv(tmp_path / "curves" / "plots" / "metrics" / "reward.tsv", sep="\t")) == 2
    [warning] = caplog.messages
    assert warning.endswith("cannot be written (No space left on device); continuing without TensorBoard")


def test_tensorboard_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tensorboard" else there(name))
    monkeypatch.setenv(TENSORBOARD, str(tmp_path / "runs"))
    with (
        pytest.raises(InputError, match=r"L2A_TENSORBOARD.*pip install -e '\.\[tensorboard\]'"),
        publish_curves(tmp_path / "curves"),
    ):
        pass
