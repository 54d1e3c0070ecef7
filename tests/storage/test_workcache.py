"""Finished pieces outlive a stage; damaged or half-written ones are not finished."""

import os
from pathlib import Path

import pytest

from pipeline.storage.workcache import is_finished, link_or_copy, sizes, work_folder, write_piece


@pytest.fixture
def piece(work_cache):
    path = work_folder("augment", "0123") / "target-00000.bin"
    with write_piece(path) as temporary:
        temporary.write_bytes(bytes(range(200)))
    return path


def test_a_piece_is_in_the_users_cache(piece, work_cache):
    assert piece == work_cache / "augment" / "0123" / "target-00000.bin"
    assert piece.read_bytes() == bytes(range(200))
    assert is_finished(piece)
    assert sorted(path.name for path in piece.parent.iterdir()) == ["target-00000.bin", "target-00000.bin.blake2b"]


def test_the_same_fingerprint_finds_the_folder_and_its_pieces(piece):
    assert work_folder("augment", "0123") == piece.parent
    assert is_finished(piece)
    assert not is_finished(work_folder("augment", "other") / piece.name)
    assert not is_finished(work_folder("cache_teacher", "0123") / piece.name)


@pytest.mark.parametrize("place", [0, 100, 199])
def test_a_flipped_byte_is_noticed(piece, caplog, place):
    content = bytearray(piece.read_bytes())
    content[place] ^= 1
    piece.write_bytes(content)
    assert not is_finished(piece)
    assert caplog.messages == [f"{piece}: damaged; computed again"]


@pytest.mark.parametrize("size", [0, 199, 201])
def test_another_size_is_noticed(piece, size):
    with piece.open("r+b") as file:
        file.truncate(size)
    assert not is_finished(piece)


@pytest.mark.parametrize("checksum", [b"", b"00", b"\xff\xfe", None])
def test_a_damaged_checksum_does_not_count(piece, checksum):
    beside = piece.with_name(f"{piece.name}.blake2b")
    if checksum is None:
        beside.unlink()
    else:
        beside.write_bytes(checksum)
    assert not is_finished(piece)


@pytest.mark.parametrize("place", ["0123/target-00001.bin", "4567/target-00000.bin"])
def test_a_piece_with_its_checksum_in_the_place_of_another(piece, caplog, place):
    other = piece.parent.parent / place
    work_folder("augment", other.parent.name)
    with write_piece(other) as temporary:
        temporary.write_bytes(b"other")
    assert is_finished(piece)
    assert is_finished(other)
    for kind in ("", ".blake2b"):
        one, two = (path.with_name(path.name + kind) for path in (piece, other))
        content = one.read_bytes()
        one.write_bytes(two.read_bytes())
        two.write_bytes(content)
    assert not is_finished(piece)
    assert not is_finished(other)
    assert caplog.messages == [f"{piece}: damaged; computed again", f"{other}: damaged; computed again"]


def test_a_checksum_without_its_piece(piece):
    piece.unlink()
    assert not is_finished(piece)


def half_a_piece(path):
    with write_piece(path) as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError


def test_a_piece_that_fails_is_not_there(piece, caplog):
    other = piece.with_name("other.bin")
    with pytest.raises(RuntimeError):
        half_a_piece(other)
    assert not is_finished(other)
    assert caplog.messages == []
    assert len(list(piece.parent.iterdir())) == 2


def test_a_piece_may_be_written_again(piece):
    piece.write_bytes(b"damaged")
    with write_piece(piece) as temporary:
        temporary.write_bytes(b"whole")
    assert is_finished(piece)


def test_an_out_is_a_link_if_the_file_system_allows_it(piece, tmp_path, monkeypatch):
    link_or_copy(piece, tmp_path / "linked")
    assert (tmp_path / "linked").samefile(piece)

    def elsewhere(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", elsewhere)
    link_or_copy(piece, tmp_path / "copied")
    assert (tmp_path / "copied").read_bytes() == piece.read_bytes()
    assert not (tmp_path / "copied").samefile(piece)


def test_sizes_while_a_stage_renames_its_files(piece, monkeypatch):
    size = sum(file.stat().st_size for file in piece.parent.iterdir())
    (piece.parent / "unfinished.part").write_bytes(b"123")
    status = Path.stat

    def vanishing(path, **options):
        found = status(path, **options)
        if path.name == "unfinished.part":
            path.unlink()
        return found

    monkeypatch.setattr(Path, "stat", vanishing)
    assert sizes() == {"augment": (1, size + 3)}
    assert sizes() == {"augment": (1, size)}
