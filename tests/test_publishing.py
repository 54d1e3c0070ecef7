"""All or nothing: what a name stands for is whole, before, during and after."""

import json
from pathlib import Path

import pytest

from pipeline.publishing import publish_file, publish_folder, write_json


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


def test_a_file_takes_the_place_of_another(tmp_path):
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


def test_a_folder_takes_the_place_of_another(tmp_path):
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


def test_a_folder_that_cannot_take_the_place_leaves_the_other(tmp_path, monkeypatch):
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


def test_what_json_cannot_hold_leaves_nothing(tmp_path):
    with pytest.raises(TypeError):
        write_json(tmp_path / "m.json", {"a": object()})
    assert listing(tmp_path) == []
