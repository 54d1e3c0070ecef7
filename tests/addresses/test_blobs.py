"""Damage in the hub's cache is found when a model or table is opened, and is not looked for over and over."""

import os

import pytest
from helpers.hub import HOME

from pipeline.addresses import blobs
from pipeline.addresses.resolve import resolve_model
from pipeline.data.loading import load_table
from pipeline.errors import InputError
from pipeline.params.data import Table

MODEL = {"config.json": b'{"a": 1}', "model.safetensors": os.urandom(50_000)}


def blob(data):
    """The file in the cache that holds this."""
    return next(path for path in HOME.rglob("blobs/*") if path.read_bytes() == data)


def damage(path):
    """Change one byte: the length stays."""
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


@pytest.mark.parametrize("name", MODEL)
@pytest.mark.parametrize("with_hub", [True, False])
def test_a_damaged_file_is_named(hub, work_cache, name, with_hub):
    hub.publish("someone/one", MODEL)
    resolve_model("someone/one", "teacher.model", weights=True)
    path = blob(MODEL[name])
    damage(path)
    hub.forget()
    if not with_hub:
        hub.stop()
    with pytest.raises(InputError) as caught:
        resolve_model("someone/one", "teacher.model", weights=True)
    said = "teacher.model: someone/one is damaged in the hub's cache; delete {} and run it again"
    assert str(caught.value) == said.format(path)
    if with_hub:
        path.unlink()
        hub.forget()
        folder = resolve_model("someone/one", "teacher.model", weights=True)
        assert {file: (HOME / folder / file).read_bytes() for file in MODEL} == MODEL


def test_a_damaged_table_is_named(hub, work_cache):
    rows = b"text,label\nsomething,a\n"
    hub.publish("someone/texts", {"train.csv": rows}, kind="dataset")
    load_table(Table(path="someone/texts"), "data.target", labelled=True)
    path = blob(rows)
    damage(path)
    hub.forget()
    with pytest.raises(InputError, match=rf"^data.target.path: someone/texts is damaged .* delete {path} and "):
        load_table(Table(path="someone/texts"), "data.target", labelled=True)


def test_large_files_are_hashed_once_while_they_do_not_change(hub, work_cache, monkeypatch):
    hashed = []
    monkeypatch.setattr(blobs, "sha256", lambda path: hashed.append(path) or path.name)
    monkeypatch.setattr(blobs, "SMALL", 40_000)
    hub.publish("someone/one", MODEL)
    for _ in range(3):
        hub.forget()
        resolve_model("someone/one", "teacher.model", weights=True)
    path = blob(MODEL["model.safetensors"])
    assert hashed == [path]
    os.utime(path, ns=(1, 1))
    resolve_model("someone/one", "teacher.model", weights=True)
    assert hashed == [path, path]
