"""What becomes of a run when its storage fails: disks that are full, that cannot be written, that lose what they had.

A stage that cannot leave its outs says so in one line that names the place, and leaves under each name what was there
before or something whole. Once there is room the same command makes what it would have made.
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
from helpers.small_disk import PAGE, ROOT, Done, SmallDisk, remounted
from typer.testing import CliRunner

from pipeline.augment import augment as augmented
from pipeline.distill import cache_teacher
from pipeline.serving.conversion import OPSET
from pipeline.storage import workcache
from pipeline.training import checkpoint
from pipeline.training.checkpoint import Checkpoint
from stages.l2a import PANELS

PLACES: dict[str, dict[str, str]] = {
    "prepare": {"out": "data/prepared", "metrics": "metrics/data.json"},
    "generator": {
        "out": "models/generator",
        "metrics": "metrics/generator.json",
        "adapter": "models/adapter.safetensors",
    },
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
    "share": {"model_out": "share/student", "data_out": "share/augmented"},
    "report": {"out": "report.html", "plots": "plots/neighbours.csv"},
    "rounds": {"out": "rounds/asked"},
    "init": {"out": "mine.yaml"},
}
"""Of each stage what it writes, by option, in an order in which they can run."""
OUTS = [(stage, option) for stage, places in PLACES.items() for option in places]
TIMED = [("evaluate", "metrics"), ("export", "metrics")]
"""What holds seconds, and is never the same twice."""
SHARDS = ("augment", "cache_teacher")
LEARN = ("generator", "teacher", "distill", "refine", "student_ft")
OTHERS = [stage for stage in PLACES if stage not in (*SHARDS, *LEARN)]
"""Those that need no work cache."""
FULL = "No space left on device"


class Finished:
    """A project in which every stage has run."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder = folder
        self.model = model
        self.cache = folder / "cache"

    def at(self, stage: str) -> Path:
        """Where it runs: the template that init starts from is no params file of tiny models."""
        return self.folder / "own" if stage == "init" else self.folder

    def place(self, stage: str, option: str) -> Path:
        return self.at(stage) / PLACES[stage][option]

    def options(self, stage: str, places: Mapping[str, Path]) -> list[str]:
        """A command line that writes to these places."""
        given = {"refine": ["--params", "two.yaml"], "init": ["target.csv", "--model", str(self.model)]}.get(stage, [])
        named = [(flag(option), str(place)) for option, place in places.items()]
        return [*given, *(word for pair in named for word in pair)]

    def first(self, stage: str) -> str:
        """Code before a stage that spares it what takes long and has nothing to do with a disk."""
        if stage != "export":
            return ""
        model = str(self.place("export", "onnx") / "model.onnx")
        return (
            "from pathlib import Path\nfrom pipeline.serving import export\nexport.timings = lambda runs, *_: "
            "{name: {} for name in runs}\nexport.to_onnx = lambda model, example, file: "
            f"file.write_bytes(Path({model!r}).read_bytes())\n"
        )

    def made(self, stage: str, places: Mapping[str, Path]) -> bool:
        """Whether what stands there is what this stage has made here."""
        return all(self._same(stage, option, contents(place)) for option, place in places.items())

    def _same(self, stage: str, option: str, found: dict[str, bytes]) -> bool:
        wanted = contents(self.place(stage, option))
        if (stage, option) not in TIMED:
            return found == wanted
        return found.keys() == wanted.keys() and json.loads(found["."]).keys() == json.loads(wanted["."]).keys()


def flag(option: str) -> str:
    return f"--{option.replace('_', '-')}"


def contents(place: Path) -> dict[str, bytes]:
    """Of a file or folder, all of it; nothing if it is not there."""
    if place.is_file():
        return {".": place.read_bytes()}
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def older(made: Path, place: Path) -> None:
    """Put something there that a stage may have made before, but has not now."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if made.is_file():
        place.write_bytes(made.read_bytes() + b"\n")
        return
    shutil.copytree(made, place)
    with min(path for path in place.rglob("*") if path.is_file()).open("ab") as file:
        file.write(b"\n")


def stand_in(file: Path) -> None:
    """Write a classifier that answers anything, in ONNX."""
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
    """What a stage should have removed."""
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
        patch.setattr("pipeline.serving.export.to_onnx", lambda model, example, file: stand_in(file))
        for stage, places in PLACES.items():
            with chdir(done.at(stage)):
                result = invoke(stage, done.options(stage, {option: Path(place) for option, place in places.items()}))
            assert (result.exit_code, result.stderr) == (0, ""), (stage, result.output)
    return done


@pytest.fixture(scope="module")
def the_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    try:
        disk = SmallDisk(tmp_path_factory.mktemp("small"))
    except OSError as error:
        pytest.skip(f"no disk that can be filled: {error}")
    yield disk
    disk.close()


@pytest.fixture
def disk(the_disk: SmallDisk) -> Iterator[SmallDisk]:
    """An empty one."""
    yield the_disk
    the_disk.clear()


@pytest.fixture
def locked(disk: SmallDisk) -> SmallDisk:
    disk.lock(True)
    return disk


def test_no_stage_is_left_out() -> None:
    assert PLACES.keys() == {"init", *PANELS["Stages, in the order of `dvc repro`"]}


@pytest.mark.parametrize(("stage", "option"), OUTS)
def test_an_out_on_a_full_disk(stage: str, option: str, finished: Finished, disk: SmallDisk, tmp_path: Path) -> None:
    name = Path(PLACES[stage][option]).name
    beside = {other: tmp_path / place for other, place in PLACES[stage].items() if other != option}
    places = {**beside, option: disk.folder / name}

    def run() -> Done:
        options = finished.options(stage, places)
        cache = tmp_path / "cache"
        return disk.stage(stage, *options, at=finished.at(stage), first=finished.first(stage), XDG_CACHE_HOME=cache)

    made = finished.place(stage, option)
    if stage != "init":
        older(made, disk.seen / name)
    before = disk.contents()
    pages = sum(math.ceil(len(content) / PAGE) for content in contents(made).values())
    # Too little for the first half, and for the very end.
    for left in sorted({pages // 2, pages - 1}):
        disk.leave(left)
        done = run()
        assert (done.code, done.err) == (1, f"{stage}: {disk.folder / name}: {FULL}\n"), left
        assert done.out == "" or stage == "init"
        assert disk.contents() == before
        assert half_written(tmp_path, disk.seen) == []
        assert all(finished.made(stage, {other: place}) for other, place in beside.items() if place.exists())
    disk.free()
    done = run()
    assert (done.code, done.err) == (0, "")
    assert finished.made(stage, {**beside, option: disk.seen / name})
    assert half_written(tmp_path, disk.seen) == []


@pytest.mark.parametrize("stage", LEARN)
def test_learning_goes_on_without_checkpoints_if_the_work_cache_is_full(
    stage: str, finished: Finished, disk: SmallDisk, tmp_path: Path
) -> None:
    places = {option: tmp_path / place for option, place in PLACES[stage].items()}
    # For the beginning of one.
    disk.leave(12)
    cache = disk.folder / "cache"
    done = disk.stage(stage, *finished.options(stage, places), at=finished.folder, XDG_CACHE_HOME=cache)
    assert done.code == 0
    file = rf"{re.escape(str(cache))}/l2a/{stage}/[0-9a-f]{{32}}/checkpoint\.safetensors"
    assert re.fullmatch(rf"{file}: cannot be written \({FULL}\); continuing without checkpoints\n", done.err)
    assert finished.made(stage, places)
    assert {Path(name).name for name in disk.contents()} <= {checkpoint.FINISHED}


@pytest.mark.parametrize("stage", SHARDS)
def test_shards_are_made_when_the_work_cache_has_room_again(
    stage: str, finished: Finished, disk: SmallDisk, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    made = finished.place(stage, "out")
    older(made, out)
    before = contents(out)
    cache = disk.folder / "cache"

    def run() -> Done:
        options = finished.options(stage, {"out": out})
        return disk.stage(stage, *options, at=finished.folder, XDG_CACHE_HOME=cache)

    # Each with its checksum.
    pages = sum(math.ceil(len(content) / PAGE) + 1 for content in contents(made).values())
    for most in (0, pages // 2, pages - 1):
        kept = sum(math.ceil(len(content) / PAGE) for content in disk.contents().values())
        disk.leave(most - kept)
        done = run()
        piece = rf"{re.escape(str(cache))}/l2a/{stage}/[0-9a-f]{{32}}/[\w.-]+"
        assert done.code == 1
        assert re.fullmatch(rf"{stage}: {piece}: {FULL}\n", done.err), done.err
        assert contents(out) == before
        assert half_written(tmp_path, disk.seen) == []
    disk.free()
    # The last that is written of a shard.
    shards = {path: path.stat().st_ino for path in disk.seen.rglob("*.parquet.blake2b")}
    assert shards
    done = run()
    assert (done.code, done.err) == (0, "")
    assert finished.made(stage, {"out": out})
    # What was finished was not made once more.
    assert {path: path.stat().st_ino for path in shards} == shards


@pytest.mark.parametrize("stage", ["init", "export"])
def test_temporary_files_on_a_full_disk(stage: str, finished: Finished, disk: SmallDisk, tmp_path: Path) -> None:
    places = {option: tmp_path / place for option, place in PLACES[stage].items()}
    disk.leave(1)
    first = f"import tempfile\ntempfile.tempdir = None\n{finished.first(stage)}"
    options = finished.options(stage, places)
    done = disk.stage(stage, *options, at=finished.at(stage), first=first, TMPDIR=disk.folder)
    assert done.code == 1
    place = rf"(standard output or )?{re.escape(str(disk.folder))}[^\n]*"
    assert re.fullmatch(rf"{stage}: {place}: {FULL}\n", done.err), done.err
    # onnxruntime leaves an empty file.
    assert contents(tmp_path) == {}
    assert not any(disk.contents().values())


@pytest.mark.parametrize(("stage", "option"), OUTS)
def test_an_out_on_a_disk_that_cannot_be_written(
    stage: str, option: str, finished: Finished, locked: SmallDisk, tmp_path: Path
) -> None:
    """It is found before the work, of which there is no trace."""
    place = locked.folder / "new" / Path(PLACES[stage][option]).name
    places = {other: tmp_path / each for other, each in PLACES[stage].items()} | {option: place}
    options = finished.options(stage, places)
    done = locked.stage(stage, *options, at=finished.at(stage), XDG_CACHE_HOME=tmp_path / "cache")
    assert (done.code, done.out) == (1, "")
    assert done.err == f"{stage}: {flag(option)}: {place} cannot be written: permission denied in {locked.folder}\n"
    assert list(tmp_path.iterdir()) == []


def test_an_out_that_leads_to_a_disk_that_cannot_be_written(
    finished: Finished, locked: SmallDisk, tmp_path: Path
) -> None:
    (tmp_path / "out").symlink_to(locked.folder / "out")
    done = locked.stage("rounds", "--out", tmp_path / "out", at=finished.folder)
    said = f"rounds: --out: {tmp_path / 'out'} cannot be written: permission denied in {locked.folder}\n"
    assert (done.code, done.err) == (1, said)


def test_an_out_that_is_a_disk(finished: Finished, disk: SmallDisk) -> None:
    """It could not be replaced."""
    done = disk.stage("rounds", "--out", disk.folder, at=finished.folder)
    said = f"rounds: --out: {disk.folder} is where a disk is mounted; accepted: a folder inside it\n"
    assert (done.code, done.err) == (1, said)
    done = disk.stage("rounds", "--out", disk.folder / "out", at=finished.folder)
    assert done.code == 0
    assert finished.made("rounds", {"out": disk.seen / "out"})


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_disk_that_can_no_longer_be_written_while_something_is(kind: str, disk: SmallDisk) -> None:
    """As Linux locks a disk that begins to fail: what was there stays, and the error is that of the disk."""
    place = disk.folder / "out"
    write = "write_text('new')" if kind == "file" else "joinpath('a').write_text('new')"
    publish = f"with atomic.publish_{kind}(Path({str(place)!r})) as temporary:\n    "
    first = "from pathlib import Path\nfrom pipeline.storage import atomic\n"
    assert disk.python(f"{first}{publish}temporary.{write}").code == 0
    before = disk.contents()
    lock = remounted(disk.folder, True).replace("\n", "\n    ")
    done = disk.python(f"{first}{publish}{lock}temporary.{write}")
    assert done.code == 1
    assert done.err.splitlines()[-1] == f"OSError: [Errno 30] Read-only file system: '{place}'"
    assert disk.contents() == before


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("stage", [*SHARDS, *LEARN])
def test_a_work_cache_that_cannot_be_written(
    stage: str, there: bool, finished: Finished, disk: SmallDisk, tmp_path: Path
) -> None:
    """Not even if what is wanted lies in it: the next shard would have to."""
    cache = disk.folder / "cache"
    if there:
        shutil.copytree(finished.cache / "l2a" / stage, disk.seen / "cache" / "l2a" / stage)
    disk.lock(True)
    places = {option: tmp_path / place for option, place in PLACES[stage].items()}
    done = disk.stage(stage, *finished.options(stage, places), at=finished.folder, XDG_CACHE_HOME=cache)
    assert (done.code, done.out) == (1, "")
    reason = "Permission denied" if there else "Read-only file system"
    assert re.fullmatch(
        rf"{stage}: {re.escape(str(cache))}/l2a/{stage}/[0-9a-f]{{32}}: the work cache cannot be written "
        rf"\({reason}\); accepted: XDG_CACHE_HOME set to a writable folder\n",
        done.err,
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stage", OTHERS)
def test_a_work_cache_that_is_a_file_is_no_matter_to_whom_it_is_not_for(
    stage: str, finished: Finished, disk: SmallDisk, tmp_path: Path
) -> None:
    (disk.seen / "file").write_text("")
    places = {option: tmp_path / place for option, place in PLACES[stage].items()}
    options = finished.options(stage, places)
    cache = disk.folder / "file"
    done = disk.stage(stage, *options, at=finished.at(stage), first=finished.first(stage), XDG_CACHE_HOME=cache)
    assert done.code == 0
    # onnxruntime has something of its own to say.
    assert done.err == "" or stage == "export"
    assert finished.made(stage, places)


@pytest.fixture
def again(finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a stage here, with a work cache of its own, over what another has left: what it did, and where it wrote."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(finished.folder)

    def run(stage: str) -> tuple[Result, dict[str, Path]]:
        places = {option: tmp_path / place for option, place in PLACES[stage].items()}
        for option, place in places.items():
            if not place.exists():
                older(finished.place(stage, option), place)
        return invoke(stage, finished.options(stage, places)), places

    return run


def once_after(module: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the work cache when a function has been called for the first time."""
    real = getattr(module, name)

    def work(*given: Any, **named: Any) -> Any:
        done = real(*given, **named)
        monkeypatch.setattr(module, name, real)
        shutil.rmtree(workcache.root())
        return done

    monkeypatch.setattr(module, name, work)


@pytest.mark.parametrize(
    ("stage", "module", "name"),
    [
        ("augment", augmented, "draw"),
        ("augment", augmented, "write_table"),
        ("augment", augmented, "link_or_copy"),
        ("cache_teacher", cache_teacher, "ask"),
        ("cache_teacher", cache_teacher, "forward"),
        ("cache_teacher", cache_teacher, "write_table"),
        ("cache_teacher", cache_teacher, "link_or_copy"),
    ],
)
def test_shards_whose_work_cache_is_removed_meanwhile(
    stage: str, module: Any, name: str, again: Any, finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two shards, while one is written, and while they are published."""
    once_after(module, name, monkeypatch)
    result, places = again(stage)
    assert result.exit_code == 1
    piece = rf"{re.escape(str(tmp_path))}/cache/l2a/{stage}/[0-9a-f]{{32}}/[\w.-]+"
    said = rf"{stage}: {piece}: removed from the work cache while it was in use; run the stage again\n"
    assert re.fullmatch(said, result.stderr)
    assert not finished.made(stage, places)
    assert contents(places["out"]).keys() == contents(finished.place(stage, "out")).keys()
    assert half_written(tmp_path) == []
    result, places = again(stage)
    assert (result.exit_code, result.stderr) == (0, "")
    assert finished.made(stage, places)


@pytest.mark.parametrize("stage", LEARN)
def test_learning_whose_work_cache_is_removed_between_checkpoints(
    stage: str, again: Any, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Checkpoint, "due", True)
    once_after(Checkpoint, "save", monkeypatch)
    result, places = again(stage)
    assert (result.exit_code, result.stderr) == (0, "")
    assert finished.made(stage, places)


@pytest.mark.parametrize("stage", LEARN)
def test_learning_whose_work_cache_is_removed_while_a_checkpoint_is_written(
    stage: str, again: Any, finished: Finished, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    once_after(checkpoint, "save_file", monkeypatch)
    result, places = again(stage)
    assert result.exit_code == 0
    [said] = caplog.messages
    reason = "cannot be written (No such file or directory); continuing without checkpoints"
    assert said.endswith(f"checkpoint.safetensors: {reason}")
    assert finished.made(stage, places)


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
def test_what_is_said_on_a_full_disk(rows: int, for_rows: bool) -> None:
    """Of a log that cannot be written a stage says so in one line, and Python nothing more at the exit."""
    with Path("/dev/full").open("w") as full:
        words = [sys.executable, "-c", ROWS % (rows, for_rows)]
        done = subprocess.run(words, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    if rows or not for_rows:
        assert (done.returncode, done.stderr) == (1, f"-c: standard output: {FULL}\n")
    else:
        assert (done.returncode, done.stderr) == (0, "-c: rows, 0.0 s\n")


@pytest.mark.parametrize("rows", [10, 100_000])
def test_whoever_reads_no_further_has_enough(rows: int) -> None:
    words = [sys.executable, "-c", ROWS % (rows, True)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        assert started.stderr is not None
        started.stdout.close()
        said = started.stderr.read()
    assert (started.returncode, said) == (0, "")
