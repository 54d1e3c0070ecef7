"""Joined files read like one file with the same bytes."""

import io
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.addresses.joined import JoinedFiles

STEPS = st.lists(st.tuples(st.sampled_from(["set", "now", "end", "read", "all"]), st.integers(-20, 40)), max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(pieces=st.lists(st.binary(max_size=9), min_size=1, max_size=5), steps=STEPS, buffer=st.integers(1, 16))
def test_any_reads_and_seeks(tmp_path, pieces, steps, buffer):
    paths = [tmp_path / str(number) for number in range(len(pieces))]
    for path, piece in zip(paths, pieces, strict=True):
        path.write_bytes(piece)
    expected = io.BytesIO(b"".join(pieces))
    joined = io.BufferedReader(JoinedFiles(paths), buffer)
    for step, count in steps:
        match step:
            case "set":
                assert joined.seek(abs(count)) == expected.seek(abs(count))
            case "now":
                position = max(0, expected.tell() + count) - expected.tell()
                assert joined.seek(position, os.SEEK_CUR) == expected.seek(position, os.SEEK_CUR)
            case "end":
                position = max(-len(expected.getvalue()), count)
                assert joined.seek(position, os.SEEK_END) == expected.seek(position, os.SEEK_END)
            case "read":
                assert joined.read(abs(count)) == expected.read(abs(count))
            case "all":
                assert joined.read() == expected.read()
        assert joined.tell() == expected.tell()


def test_before_the_start_is_nowhere(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    joined = JoinedFiles([tmp_path / "a"])
    with pytest.raises(ValueError, match="position -1 is before the start"):
        joined.seek(-4, os.SEEK_END)
    assert joined.read() == b"abc"


def test_a_file_that_has_become_shorter_ends_the_reading(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "b").write_bytes(b"def")
    joined = io.BufferedReader(JoinedFiles([tmp_path / "a", tmp_path / "b"]), 1)
    (tmp_path / "a").write_bytes(b"a")
    assert joined.read(6) == b"a"
