"""The work_cache command: sizes printed, and the cache cleared."""

import pytest
from typer.testing import CliRunner

from pipeline.errors import InputError
from pipeline.storage.workcache import link_or_copy, work_folder, write_piece
from stages.work_cache import app


@pytest.fixture
def piece(work_cache):
    path = work_folder("augment", "0123") / "shard.parquet"
    with write_piece(path) as temporary:
        temporary.write_bytes(bytes(1_999_968))
    return path


def test_it_prints_its_size(piece, work_cache):
    work_folder("distill", "4567")
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 0
    *stages, last = result.stdout.splitlines()
    assert [line.split() for line in stages] == [
        ["augment", "1", "folders", "2.0", "MB"],
        ["distill", "0", "folders", "0.0", "MB"],
    ]
    assert last.startswith(f"work_cache: 2.0 MB in {work_cache}, ")
    assert piece.exists()


def test_it_is_cleared_and_outs_stay(piece, work_cache, tmp_path):
    link_or_copy(piece, tmp_path / "out")
    result = CliRunner().invoke(app, ["--clear"])
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1].startswith(f"work_cache: cleared, 2.0 MB in {work_cache}, ")
    assert list(work_cache.iterdir()) == []
    assert (tmp_path / "out").stat().st_size == 1_999_968


def test_an_empty_one(work_cache):
    for options in ([], ["--clear"]):
        result = CliRunner().invoke(app, options)
        assert (result.exit_code, len(result.stdout.splitlines())) == (0, 1)


def test_a_piece_that_is_removed_while_it_is_in_use(piece, tmp_path):
    piece.unlink()
    with pytest.raises(InputError, match=r"shard\.parquet: removed from the work cache while it was in use; run the"):
        link_or_copy(piece, tmp_path / "out")
