"""Storage that fails: disks that are full or read-only, and a work cache that is removed meanwhile.

A stage that cannot write its outs reports one line with the path, and keeps under each path the earlier out or a
complete new one. Once there is space, the same command writes what it would have written.
"""

import json
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import chdir
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
import yaml
from click.testing import Result
from helpers.small_disk import PAGE, ROOT, Completed, SmallDisk, remount
from typer.testing import CliRunner

from pipeline.augment import augment as augmented
from pipeline.distill import cache_teacher
from pipeline.serving.conversion import OPSET
from pipeline.storage import workcache
from pipeline.training import checkpoint
from pipeline.training.checkpoint import Checkpoint
from stages.l2a import PANELS

OUTPUTS: dict[str, dict[str, str]] = {
    "prepare": {"out": "data/prepared", "metrics": "metrics/data.json"},
    "generator": {
        "out": "models/generator",
        "metrics": "metrics/generator.json",
        "adapter": "models/adapter.safetensors",
    },
    "commits": {"record": "hub.json"},
    "teacher": {"out": "models/teacher", "metrics": "metrics/teacher.json"},
    "augment": {"out": "data/augmented"},
    "cache_teacher": {"out": "data/teacher"},
    "distill": {
        "out": "models/student",
        "selection": "data/selection.parquet",
        "projection_and_policy": "models/projection_and_policy.safetensors",
        "curves": "dvclive",
    },
    "refine": {"out": "rounds/2/generator", "metrics": "rounds/2/refine.json"},
    "student_ft": {"out": "models/student_ft"},
    "evaluate": {"metrics": "metrics/evaluation.json", "plots": "plots/predictions.csv"},
    "export": {"onnx": "models/onnx", "int8": "models/int8", "metrics": "metrics/serving.json"},
    "share": {"model_out": "share/student", "onnx_out": "share/onnx", "data_out": "share/augmented"},
    "report": {"out": "report.html", "plots": "plots/neighbours.csv"},
    "rounds": {"out": "rounds/asked"},
    "tables": {"out": "data/tables"},
    "init": {"out": "mine.yaml"},
}
"""The outs of each stage by option, in an order in which the stages can run."""
OUTS = [(stage, option) for stage, paths in OUTPUTS.items() for option in paths]
TIMED = [("evaluate", "metrics"), ("export", "metrics")]
"""Outs with seconds in them, which differ from run to run."""
SHARDS = ("augment", "cache_teacher")
LEARN = ("generator", "teacher", "distill", "refine", "student_ft")
OTHERS = [stage for stage in OUTPUTS if stage not in (*SHARDS, *LEARN)]
"""Stages without a work cache."""
FULL = "No space left on device"


class Finished:
    """A project in which every stage has run."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder = folder
        self.model = model
        self.cache = folder / "cache"

    def cwd(self, stage: str) -> Path:
        """Its working directory: init starts from the project's own params file, not from the tiny one."""
        return self.folder / "own" if stage == "init" else self.folder

    def output(self, stage: str, option: str) -> Path:
        return self.cwd(stage) / OUTPUTS[stage][option]

    def options(self, stage: str, paths: Mapping[str, Path]) -> list[str]:
        """A command line that writes to these paths."""
        inputs = {"refine": ["--params", "two.yaml"], "init": ["target.csv", "--model", str(self.model)]}.get(stage, [])
        named = [(flag(option), str(path)) for option, path in paths.items()]
        return [*inputs, *(word for pair in named for word in pair)]

    def setup(self, stage: str) -> str:
        """Code that replaces the parts of a stage that take long and do not depend on the disk."""
        if stage != "export":
            return ""
        model = str(self.output("export", "onnx") / "model.onnx")
        return (
            "from pathlib import Path\nfrom pipeline.serving import export\nexport.timings = lambda runs, *_: "
            "{name: {} for name in runs}\nexport.to_onnx = lambda model, example, file: "
            f"file.write_bytes(Path({model!r}).read_bytes())\n"
        )

    def made(self, stage: str, paths: Mapping[str, Path]) -> bool:
        """Whether the paths hold what this stage has written here."""
        return all(self._same(stage, option, contents(path)) for option, path in paths.items())

    def _same(self, stage: str, option: str, found: dict[str, bytes]) -> bool:
        expected = contents(self.output(stage, option))
        if (stage, option) not in TIMED:
            return found == expected
        return found.keys() == expected.keys() and json.loads(found["."]).keys() == json.loads(expected["."]).keys()


def flag(option: str) -> str:
    return f"--{option.replace('_', '-')}"


def contents(out: Path) -> dict[str, bytes]:
    """The bytes of a file, or of each file in a folder; empty if there is none."""
    if out.is_file():
        return {".": out.read_bytes()}
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def write_older(made: Path, out: Path) -> None:
    """Write an out that differs from the one made, as of an earlier run."""
    out.parent.mkdir(parents=True, exist_ok=True)
    if made.is_file():
        out.write_bytes(made.read_bytes() + b"\n")
        return
    shutil.copytree(made, out)
    with min(path for path in out.rglob("*") if path.is_file()).open("ab") as file:
        file.write(b"\n")


def write_constant_classifier(file: Path) -> None:
    """Write an ONNX classifier with constant weights."""
    ids = onnx.helper.make_tensor_value_info("input_ids", onnx.TensorProto.INT64, ["texts", "tokens"])
    logits = onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["texts", 2])
    weights = onnx.numpy_helper.from_array(np.ones((1, 2), dtype=np.float32), "weights")
    axis = onnx.numpy_helper.from_array(np.array([1]), "axis")
    nodes = [
        onnx.helper.make_node("Cast", ["input_ids"], ["numbers"], to=onnx.TensorProto.FLOAT),
        onnx.helper.make_node("ReduceMean", ["numbers", "axis"], ["mean"]),
        onnx.helper.make_node("MatMul", ["mean", "weights"], ["logits"]),
    ]
    graph = onnx.helper.make_graph(nodes, "stand-in", [ids], [logits], [weights, axis])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=9), file)


def half_written(*folders: Path) -> list[Path]:
    """Temporary files that a stage should have removed."""
    return [path for folder in folders for path in folder.rglob(".*") if path.suffix in (".part", ".old")]


def invoke(stage: str, options: list[str]) -> Result:
    return CliRunner().invoke(import_module(f"stages.{stage}").app, options)


@pytest.fixture(scope="module")
def finished(
    tiny_encoder: Path, tiny_masked_lm: Path, reviews: Any, tmp_path_factory: pytest.TempPathFactory
) -> Finished:
    done = Finished(tmp_path_factory.mktemp("finished"), tiny_masked_lm)
    (done.folder / "own").mkdir()
    for name, rows, seed in (("source", 24, 1), ("target", 60, 2), ("own/target", 120, 3)):
        texts = reviews(rows, seed)
        numbered = [f"{text} {row}" for row, text in enumerate(texts.texts)]
        labels = [texts.names[label] for label in texts.labels]
        pd.DataFrame({"text": numbered, "label": labels}).to_csv(done.folder / f"{name}.csv", index=False)
    learnt = {"steps": 4, "text": {"path": "source.csv"}, "rank": 2, "batch_size": 8, "max_length": 16}
    params: dict[str, Any] = {
        "max_length": 16,
        "data": {
            "source": {"path": "source.csv"},
            "target": {"path": "target.csv", "rows": 8, "validation": 6, "test": 8},
        },
        "teacher": {"model": str(tiny_encoder), "epochs": {"source": 1, "target": 1}, "batch_size": 8},
        "generator": {"model": str(tiny_encoder), **learnt},
        "augment": {"samples": {"source": 1, "target": 2}, "shards": 3},
        "student": {"layers": 2},
        "distill": {"epochs": 1, "least_steps": 0, "batch_size": 16},
        "evaluate": {"resamples": 100, "student_ft": {"epochs": 1}},
        "export": {"max_drop": 1.0},
    }
    (done.folder / "params.yaml").write_text(yaml.safe_dump(params))
    (done.folder / "two.yaml").write_text(yaml.safe_dump(params | {"rounds": 2}))
    shutil.copy(ROOT / "params.yaml", done.folder / "own")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(done.cache))
        patch.setattr("pipeline.serving.export.timings", lambda runs, *_: {name: {} for name in runs})
        patch.setattr("pipeline.serving.export.to_onnx", lambda model, example, file: write_constant_classifier(file))
        for stage, paths in OUTPUTS.items():
            with chdir(done.cwd(stage)):
                result = invoke(stage, done.options(stage, {option: Path(path) for option, path in paths.items()}))
            # Of a student this small evaluate may say that it is worse than Student-FT.
            said = "" if "validates worse than Student-FT" in result.stdout else result.stderr
            assert (result.exit_code, said) == (0, ""), (stage, result.output)
    return done


@pytest.fixture(scope="module")
def shared_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    try:
        disk = SmallDisk(tmp_path_factory.mktemp("small"))
    except OSError as error:
        pytest.skip(f"no disk that can be filled: {error}")
    yield disk
    disk.close()


@pytest.fixture
def disk(shared_disk: SmallDisk) -> Iterator[SmallDisk]:
    """An empty one."""
    yield shared_disk
    shared_disk.clear()


@pytest.fixture
def locked(disk: SmallDisk) -> SmallDisk:
    disk.lock(True)
    return disk


def test_every_stage_is_tested() -> None:
    assert OUTPUTS.keys() == {"init", *PANELS["Stages, in the order of `dvc repro`"]}


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "option"), OUTS)
def test_an_out_on_a_full_disk(stage: str, option: str, finished: Finished, disk: SmallDisk, tmp_path: Path) -> None:
    name = Path(OUTPUTS[stage][option]).name
    beside = {other: tmp_path / path for other, path in OUTPUTS[stage].items() if other != option}
    paths = {**beside, option: disk.folder / name}

    def run() -> Completed:
        options = finished.options(stage, paths)
        cache = tmp_path / "cache"
        return disk.stage(stage, *options, cwd=finished.cwd(stage), setup=finished.setup(stage), XDG_CACHE_HOME=cache)

    made = finished.output(stage, option)
    if stage != "init":
        write_older(made, disk.host_folder / name)
    before = disk.contents()
    pages = sum(math.ceil(len(content) / PAGE) for content in contents(made).values())
    # Full in the middle of the out, and at its last page.
    for left in sorted({pages // 2, pages - 1}):
        disk.fill(left)
        done = run()
        assert (done.code, done.err) == (1, f"{stage}: {disk.folder / name}: {FULL}\n"), left
        assert done.out == "" or stage == "init"
        assert disk.contents() == before
        assert half_written(tmp_path, disk.host_folder) == []
        assert all(finished.made(stage, {other: path}) for other, path in beside.items() if path.exists())
    disk.free()
    done = run()
    assert (done.code, done.err) == (0, "")
    assert finished.made(stage, {**beside, option: disk.host_folder / name})
    assert half_written(tmp_path, disk.host_folder) == []


@pytest.mark.parametrize("stage", LEARN)
def test_learning_goes_on_without_checkpoints_if_the_work_cache_is_full(
    stage: str, finished: Finished, disk: SmallDisk, tmp_path: Path
) -> None:
    paths = {option: tmp_path / path for option, path in OUTPUTS[stage].items()}
    # Enough for the beginning of a checkpoint.
    disk.fill(12)
    cache = disk.folder / "cache"
    done = disk.stage(stage, *finished.options(stage, paths), cwd=finished.folder, XDG_CACHE_HOME=cache)
    assert done.code == 0
    file = rf"{re.escape(str(cache))}/l2a/{stage}/[0-9a-f]{{32}}/checkpoint\.safetensors"
    assert re.fullmatch(rf"{file}: cannot be written \({FULL}\); continuing without checkpoints\n", done.err)
    assert finished.made(stage, paths)
    assert {Path(name).name for name in disk.contents()} <= {checkpoint.FINISHED}


@pytest.mark.parametrize("stage", SHARDS)
def test_shards_are_made_when_the_work_cache_has_room_again(
    stage: str, finished: Finished, disk: SmallDisk, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    made = finished.output(stage, "out")
    write_older(made, out)
    before = contents(out)
    cache = disk.folder / "cache"

    def run() -> Completed:
        options = finished.options(stage, {"out": out})
        return disk.stage(stage, *options, cwd=finished.folder, XDG_CACHE_HOME=cache)

    # A page more for the checksum of each.
    pages = sum(math.ceil(len(content) / PAGE) + 1 for content in contents(made).values())
    for most in (0, pages // 2, pages - 1):
        kept = sum(math.ceil(len(content) / PAGE) for content in disk.contents().values())
        disk.fill(most - kept)
        done = run()
        piece = rf"{re.escape(str(cache))}/l2a/{stage}/[0-9a-f]{{32}}/[\w.-]+"
        assert done.code == 1
        assert re.fullmatch(rf"{stage}: {piece}: {FULL}\n", done.err), done.err
        assert contents(out) == before
        assert half_written(tmp_path, disk.host_folder) == []
    disk.free()
    # The file of a shard that is written last.
    shards = {path: path.stat().st_ino for path in disk.host_folder.rglob("*.parquet.blake2b")}
    assert shards
    done = run()
    assert (done.code, done.err) == (0, "")
    assert finished.made(stage, {"out": out})
    # Finished shards were not made again.
    assert {path: path.stat().st_ino for path in shards} == shards


def test_temporary_files_on_a_full_disk(finished: Finished, disk: SmallDisk, tmp_path: Path) -> None:
    stage = "export"
    paths = {option: tmp_path / path for option, path in OUTPUTS[stage].items()}
    disk.fill(1)
    setup = f"import tempfile\ntempfile.tempdir = None\n{finished.setup(stage)}"
    options = finished.options(stage, paths)
    done = disk.stage(stage, *options, cwd=finished.cwd(stage), setup=setup, TMPDIR=disk.folder)
    assert done.code == 1
    full = rf"(standard output or )?{re.escape(str(disk.folder))}[^\n]*"
    assert re.fullmatch(rf"{stage}: {full}: {FULL}\n", done.err), done.err
    # onnxruntime leaves an empty file on the disk.
    assert contents(tmp_path) == {}
    assert not any(disk.contents().values())


@pytest.mark.parametrize(("stage", "option"), OUTS)
def test_an_out_on_a_disk_that_cannot_be_written(
    stage: str, option: str, finished: Finished, locked: SmallDisk, tmp_path: Path
) -> None:
    """It is reported before any work: nothing is written elsewhere."""
    path = locked.folder / "new" / Path(OUTPUTS[stage][option]).name
    paths = {other: tmp_path / out for other, out in OUTPUTS[stage].items()} | {option: path}
    options = finished.options(stage, paths)
    done = locked.stage(stage, *options, cwd=finished.cwd(stage), XDG_CACHE_HOME=tmp_path / "cache")
    assert (done.code, done.out) == (1, "")
    assert done.err == f"{stage}: {flag(option)}: {path} cannot be written: permission denied in {locked.folder}\n"
    assert list(tmp_path.iterdir()) == []


def test_an_out_that_leads_to_a_disk_that_cannot_be_written(
    finished: Finished, locked: SmallDisk, tmp_path: Path
) -> None:
    (tmp_path / "out").symlink_to(locked.folder / "out")
    done = locked.stage("rounds", "--out", tmp_path / "out", cwd=finished.folder)
    error = f"rounds: --out: {tmp_path / 'out'} cannot be written: permission denied in {locked.folder}\n"
    assert (done.code, done.err) == (1, error)


def test_an_out_that_is_a_disk(finished: Finished, disk: SmallDisk) -> None:
    """A mount point cannot be replaced."""
    done = disk.stage("rounds", "--out", disk.folder, cwd=finished.folder)
    error = f"rounds: --out: {disk.folder} is where a disk is mounted; accepted: a folder inside it\n"
    assert (done.code, done.err) == (1, error)
    done = disk.stage("rounds", "--out", disk.folder / "out", cwd=finished.folder)
    assert done.code == 0
    assert finished.made("rounds", {"out": disk.host_folder / "out"})


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_disk_that_becomes_read_only_during_a_write(kind: str, disk: SmallDisk) -> None:
    """Linux remounts a failing disk read-only: the earlier out stays, and the error is the disk's."""
    path = disk.folder / "out"
    write = "write_text('new')" if kind == "file" else "joinpath('a').write_text('new')"
    publish = f"with atomic.publish_{kind}(Path({str(path)!r})) as temporary:\n    "
    setup = "from pathlib import Path\nfrom pipeline.storage import atomic\n"
    assert disk.python(f"{setup}{publish}temporary.{write}").code == 0
    before = disk.contents()
    lock = remount(disk.folder, True).replace("\n", "\n    ")
    done = disk.python(f"{setup}{publish}{lock}temporary.{write}")
    assert done.code == 1
    assert done.err.splitlines()[-1] == f"OSError: [Errno 30] Read-only file system: '{path}'"
    assert disk.contents() == before


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("stage", [*SHARDS, *LEARN])
def test_a_work_cache_that_cannot_be_written(
    stage: str, cached: bool, finished: Finished, disk: SmallDisk, tmp_path: Path
) -> None:
    """Also if the work cache already holds the shards: the next ones could not be written."""
    cache = disk.folder / "cache"
    if cached:
        shutil.copytree(finished.cache / "l2a" / stage, disk.host_folder / "cache" / "l2a" / stage)
    disk.lock(True)
    paths = {option: tmp_path / path for option, path in OUTPUTS[stage].items()}
    done = disk.stage(stage, *finished.options(stage, paths), cwd=finished.folder, XDG_CACHE_HOME=cache)
    assert (done.code, done.out) == (1, "")
    reason = "Permission denied" if cached else "Read-only file system"
    assert re.fullmatch(
        rf"{stage}: {re.escape(str(cache))}/l2a/{stage}/[0-9a-f]{{32}}: the work cache cannot be written "
        rf"\({reason}\); accepted: XDG_CACHE_HOME set to a writable folder\n",
        done.err,
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stage", OTHERS)
def test_stages_without_a_work_cache_run_if_its_path_is_a_file(
    stage: str, finished: Finished, disk: SmallDisk, tmp_path: Path
) -> None:
    (disk.host_folder / "file").write_text("")
    paths = {option: tmp_path / path for option, path in OUTPUTS[stage].items()}
    options = finished.options(stage, paths)
    cache = disk.folder / "file"
    done = disk.stage(stage, *options, cwd=finished.cwd(stage), setup=finished.setup(stage), XDG_CACHE_HOME=cache)
    assert done.code == 0
    # onnxruntime writes warnings of its own.
    assert done.err == "" or stage == "export"
    assert finished.made(stage, paths)


@pytest.fixture
def again(finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a stage in this process over earlier outs, with an empty work cache: its result and the paths of its outs."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(finished.folder)

    def run(stage: str) -> tuple[Result, dict[str, Path]]:
        paths = {option: tmp_path / path for option, path in OUTPUTS[stage].items()}
        for option, path in paths.items():
            if not path.exists():
                write_older(finished.output(stage, option), path)
        return invoke(stage, finished.options(stage, paths)), paths

    return run


def remove_cache_after(module: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the work cache after the first call of a function."""
    original = getattr(module, name)

    def work(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        monkeypatch.setattr(module, name, original)
        shutil.rmtree(workcache.root())
        return result

    monkeypatch.setattr(module, name, work)


@pytest.mark.parametrize(
    ("stage", "module", "name"),
    [
        ("augment", augmented, "draw_shard"),
        ("augment", augmented, "write_table"),
        ("augment", augmented, "link_or_copy"),
        ("cache_teacher", cache_teacher, "cache_shard"),
        ("cache_teacher", cache_teacher, "forward"),
        ("cache_teacher", cache_teacher, "write_table"),
        ("cache_teacher", cache_teacher, "link_or_copy"),
    ],
)
def test_shards_whose_work_cache_is_removed_meanwhile(
    stage: str, module: Any, name: str, again: Any, finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two shards, while one is written, and while they are published."""
    remove_cache_after(module, name, monkeypatch)
    result, paths = again(stage)
    assert result.exit_code == 1
    piece = rf"{re.escape(str(tmp_path))}/cache/l2a/{stage}/[0-9a-f]{{32}}/[\w.-]+"
    error = rf"{stage}: {piece}: removed from the work cache while it was in use; run the stage again\n"
    assert re.fullmatch(error, result.stderr)
    assert not finished.made(stage, paths)
    assert contents(paths["out"]).keys() == contents(finished.output(stage, "out")).keys()
    assert half_written(tmp_path) == []
    result, paths = again(stage)
    assert (result.exit_code, result.stderr) == (0, "")
    assert finished.made(stage, paths)


@pytest.mark.parametrize("stage", LEARN)
def test_learning_whose_work_cache_is_removed_between_checkpoints(
    stage: str, again: Any, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Checkpoint, "due", True)
    remove_cache_after(Checkpoint, "save", monkeypatch)
    result, paths = again(stage)
    assert (result.exit_code, result.stderr) == (0, "")
    assert finished.made(stage, paths)


@pytest.mark.parametrize("stage", LEARN)
def test_learning_whose_work_cache_is_removed_while_a_checkpoint_is_written(
    stage: str, again: Any, finished: Finished, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove_cache_after(checkpoint, "save_file", monkeypatch)
    result, paths = again(stage)
    assert result.exit_code == 0
    [message] = caplog.messages
    reason = "cannot be written (No such file or directory); continuing without checkpoints"
    assert message.endswith(f"checkpoint.safetensors: {reason}")
    assert finished.made(stage, paths)


ROWS = """
from stages.command import stage
def main() -> str:
    for row in range(%d):
        print(row)
    return "rows"
stage(main, rows=%r)()
"""


@pytest.mark.parametrize("rows", [0, 10, 100_000])
@pytest.mark.parametrize("for_rows", [False, True])
def test_output_to_a_full_disk(rows: int, for_rows: bool) -> None:
    """A stage whose log cannot be written reports one line, and Python adds nothing at exit."""
    with Path("/dev/full").open("w") as full:
        words = [sys.executable, "-c", ROWS % (rows, for_rows)]
        done = subprocess.run(words, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    if rows or not for_rows:
        assert (done.returncode, done.stderr) == (1, f"-c: standard output: {FULL}\n")
    else:
        assert (done.returncode, done.stderr) == (0, "-c: rows, 0.0 s\n")


@pytest.mark.parametrize("rows", [10, 100_000])
def test_a_reader_that_stops_early_is_no_error(rows: int) -> None:
    words = [sys.executable, "-c", ROWS % (rows, True)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        assert started.stderr is not None
        started.stdout.close()
        error = started.stderr.read()
    assert (started.returncode, error) == (0, "")
