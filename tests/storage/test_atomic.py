"""Atomic writes: what a name refers to is complete, before, during and after."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.storage import atomic
from pipeline.storage.atomic import check_output, publish_file, publish_folder
from pipeline.storage.checksums import write_sums
from pipeline.storage.json_file import write_json


def listing(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_file_appears_at_the_end(tmp_path):
    path = tmp_path / "new" / "folder" / "a.txt"
    with publish_file(path) as temporary:
        temporary.write_text("content")
        assert not path.exists()
        assert temporary.parent == path.parent
    assert path.read_text() == "content"
    assert listing(path.parent) == ["a.txt"]


def test_a_file_replaces_another(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with publish_file(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def half_a_file(path, stop):
    with publish_file(path) as temporary:
        temporary.write_text("half")
        raise stop


def half_a_folder(path):
    with publish_folder(path) as temporary:
        (temporary / "a").write_text("1")
        (temporary / "inner").mkdir()
        raise RuntimeError


@pytest.mark.parametrize("stop", [RuntimeError, KeyboardInterrupt])
def test_nothing_half_written_of_a_file(tmp_path, stop):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(stop):
        half_a_file(path, stop)
    assert path.read_text() == "old"
    assert listing(tmp_path) == ["a.txt"]


def test_a_file_that_is_not_written_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), publish_file(tmp_path / "a.txt"):
        pass
    assert listing(tmp_path) == []


def test_a_folder_appears_at_the_end(tmp_path):
    path = tmp_path / "new" / "out"
    with publish_folder(path) as temporary:
        (temporary / "a").write_text("1")
        assert not path.exists()
    assert listing(tmp_path) == ["new", "new/out", "new/out/a"]
    assert path.stat().st_mode & 0o777 == 0o755


def test_a_folder_replaces_another(tmp_path):
    path = tmp_path / "out"
    path.mkdir()
    (path / "old").write_text("1")
    with publish_folder(path) as temporary:
        (temporary / "new").write_text("2")
        assert listing(path) == ["old"]
    assert listing(tmp_path) == ["out", "out/new"]


@pytest.mark.parametrize("before", [True, False])
def test_nothing_half_written_of_a_folder(tmp_path, before):
    path = tmp_path / "out"
    if before:
        path.mkdir()
        (path / "old").write_text("1")
    with pytest.raises(RuntimeError):
        half_a_folder(path)
    assert listing(tmp_path) == (["out", "out/old"] if before else [])


def test_a_folder_that_cannot_replace_another_leaves_it(tmp_path, monkeypatch):
    path = tmp_path / "out"
    path.mkdir()
    (path / "old").write_text("1")
    real = Path.rename

    def rename(self, target):
        if self.suffix == ".part":
            raise OSError("refused")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(OSError, match="refused"), publish_folder(path) as temporary:
        (temporary / "new").write_text("2")
    assert listing(tmp_path) == ["out", "out/old"]


def test_json_is_readable_and_stable(tmp_path):
    content = {"b": 1, "a": [0.5, None], "ü": "é"}
    write_json(tmp_path / "m.json", content)
    text = (tmp_path / "m.json").read_text(encoding="utf-8")
    assert json.loads(text) == content
    assert list(json.loads(text)) == ["b", "a", "ü"]
    assert text.endswith("}\n")
    assert "é" in text


def test_values_that_json_cannot_hold_leave_no_file(tmp_path):
    with pytest.raises(TypeError):
        write_json(tmp_path / "m.json", {"a": object()})
    assert listing(tmp_path) == []


def killed_while_writing(path, kind):
    """Publish in a process that is killed meanwhile; returns its number."""
    write = "temporary.write_text('half')" if kind == "file" else "(temporary / 'a').write_text('half')"
    code = f"""
import os, signal
from pathlib import Path
from pipeline.storage.atomic import publish_{kind}
with publish_{kind}(Path({str(path)!r})) as temporary:
    {write}
    os.kill(os.getpid(), signal.SIGKILL)
"""
    process = subprocess.Popen([sys.executable, "-c", code])
    assert process.wait() == -signal.SIGKILL
    return process.pid


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_files_of_a_killed_process_are_removed_at_the_next_write(tmp_path, kind):
    path = tmp_path / "out[1].x"
    killed_while_writing(path, kind)
    (left,) = tmp_path.iterdir()
    assert left.suffix == ".part"
    # Another output whose name begins alike.
    write_json(tmp_path / "out[1]", {})
    assert left.exists()
    with atomic.__dict__[f"publish_{kind}"](path) as temporary:
        assert not left.exists()
        (temporary if kind == "file" else temporary / "a").write_text("whole")
    assert listing(tmp_path) == (["out[1]", "out[1].x"] if kind == "file" else ["out[1]", "out[1].x", "out[1].x/a"])


def test_files_that_others_may_be_writing_stay(tmp_path):
    """Of this host while the process runs, of another host for a day, and names of another pattern always."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as writer:
        own = tmp_path / f".a.{writer.pid}@{atomic._host()}.part"
        foreign, other = tmp_path / ".a.1@00000000.k3_x.part", tmp_path / ".a.part"
        foreign.mkdir()
        for file in (own, foreign / "new", other):
            file.write_text("half")
        long_ago = time.time() - atomic.DAY - 60
        for file in (own, foreign, other):
            os.utime(file, (long_ago, long_ago))
        write_json(tmp_path / "a", {})
        assert {own, foreign, other} <= set(tmp_path.iterdir())
        for file in (foreign / "new", foreign):
            os.utime(file, (long_ago, long_ago))
        write_json(tmp_path / "a", {})
        assert set(tmp_path.iterdir()) == {own, other, tmp_path / "a"}
        writer.communicate(b"\n")
    write_json(tmp_path / "a", {})
    assert set(tmp_path.iterdir()) == {other, tmp_path / "a"}


def test_another_container_of_the_machine_is_another_host(monkeypatch):
    here = atomic._host()
    monkeypatch.setattr(os, "readlink", lambda _: "pid:[1]")
    assert atomic._host() != here


@pytest.mark.parametrize("name", ["thesis.docx", "notes.md", "vocab.bpe"])
def test_a_model_folder_with_other_files_is_not_replaced(tmp_path, name):
    folder = tmp_path / "model"
    folder.mkdir()
    for file in ("config.json", "model.safetensors", "tokenizer.json", "merges.txt", "spiece.model"):
        (folder / file).write_text("")
    check_output(folder, "--out", folder=True)
    (folder / name).write_text("mine")
    with pytest.raises(InputError, match=f"^--out: .*model would be replaced whole, but holds {name}, which no stage "):
        check_output(folder, "--out", folder=True)
    write_sums(folder)
    check_output(folder, "--out", folder=True)


def test_the_old_folder_stays_until_there_is_a_new_one(tmp_path):
    """The kill came between the two renames that replace a folder."""
    path = tmp_path / "out"
    process = killed_while_writing(path, "folder")
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(f".out.{process}@")
    old = left.rename(left.with_suffix(".old"))
    with publish_folder(path):
        assert old.exists()
    with publish_folder(path):
        assert not old.exists()
