"""The teacher's pass over all texts: which texts, what is computed again and what is not, what a full disk leaves."""

import errno

import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers.prepared import complete
from transformers import BertForSequenceClassification

from pipeline.augment.shards import read_augmented
from pipeline.data.texts import Texts, write_texts
from pipeline.distill import cache_teacher
from pipeline.distill.teacher_cache import TeacherCache
from pipeline.errors import InputError


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("originals", [[], ["source"], ["source", "target"]])
def test_the_originals_of_the_domains_asked_for(run, uneven, augmented, originals):
    cache = TeacherCache(run(distill={"originals": originals})[0])
    neighbours = read_augmented(augmented, ["id"]).num_rows
    sizes = {"source": 48, "target": 16}
    assert len(cache.logits) == neighbours + sum(sizes[domain] for domain in originals)


def test_a_domain_without_texts(run, uneven, tmp_path):
    for name in ("train", "source"):
        (tmp_path / f"{name}.parquet").write_bytes((uneven / f"{name}.parquet").read_bytes())
    names = ["negative", "positive"]
    write_texts(tmp_path / "source.parquet", Texts([], [], None, np.zeros(0, np.int64), names), "source")
    complete(tmp_path)
    out, said = run(prepared=tmp_path, distill={"originals": ["source", "target"]})
    assert said.startswith("112 texts")
    cache = TeacherCache(out)
    assert cache.hidden(cache.rows(["train-003"])).abs().sum() > 0


@pytest.fixture
def no_neighbours(augmented, tmp_path):
    """The shards of a plain distillation."""
    out = tmp_path / "no_neighbours"
    out.mkdir()
    for shard in augmented.iterdir():
        pq.write_table(pq.read_table(shard).slice(0, 0), out / shard.name)
    return out


def test_shards_without_rows_are_left_out(run, no_neighbours):
    out, said = run(augmented=no_neighbours)
    assert said.startswith("16 texts with logits, hidden, attention, ")
    assert [path.name for path in out.glob("*.parquet")] == ["target-originals-00000-of-00001.parquet"]
    cache = TeacherCache(out)
    assert cache.kinds == {"logits", "hidden", "attention"}
    assert cache.hidden(cache.rows(["train-003"])).abs().sum() > 0


def test_nothing_to_cache(run, no_neighbours, tmp_path):
    with pytest.raises(
        InputError,
        match=r"^augment\.samples: 0 for each domain that has texts, and distill\.originals is empty; accepted: ",
    ):
        run(augmented=no_neighbours, distill={"originals": []})
    assert not (tmp_path / "teacher").exists()


def test_no_shards(run, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: no shards; run the augment stage first$"):
        run(augmented=tmp_path / "empty")
    assert not (tmp_path / "teacher").exists()


def test_the_same_bytes_again(run, tmp_path, monkeypatch):
    one, _ = run("one")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))
    assert contents(one) == contents(run("other")[0])


@pytest.fixture
def written(monkeypatch):
    """The names of the pieces that were computed; with `stop_at`, the one that is killed."""
    real = cache_teacher.run_teacher

    def count(model, tokenizer, piece, *rest):
        if len(count.calls) == count.stop_at:
            raise KeyboardInterrupt
        count.calls.append(piece.name)
        real(model, tokenizer, piece, *rest)

    count.stop_at, count.calls = None, []
    monkeypatch.setattr(cache_teacher, "run_teacher", count)
    return count


def test_a_killed_run_goes_on_where_it_was(run, written, tmp_path, monkeypatch):
    written.stop_at = 3
    with pytest.raises(KeyboardInterrupt):
        run("killed")
    assert not (tmp_path / "killed").exists()
    written.stop_at = None
    resumed, _ = run("killed")
    assert len(written.calls) == len(set(written.calls)) == 5
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))
    assert contents(resumed) == contents(run("uninterrupted")[0])


def test_what_is_cached_is_not_computed_again(run, written):
    run("one")
    run("again")
    assert len(written.calls) == 5
    run("originals", distill={"originals": []})
    assert len(written.calls) == 5
    run("max_length", max_length=12)
    assert len(written.calls) == 10


def test_less_of_what_is_cached_is_not_computed_again(run, written):
    whole, _ = run("whole")
    less, _ = run("less", kinds=["logits", "attention"])
    assert len(written.calls) == 5
    assert contents(less) == {name: file for name, file in contents(whole).items() if ".hidden." not in name}
    run("without_logits", kinds=["hidden"])
    assert len(written.calls) == 10
    # What is missing is computed beside what is there.
    run("more", kinds=["hidden", "attention"])
    assert len(written.calls) == 15


def test_an_array_that_an_earlier_run_left_is_vouched_for(run, written):
    run("hidden", kinds=["logits", "hidden"])
    run("attention", kinds=["logits", "attention"])
    assert len(written.calls) == 10
    assert TeacherCache(run("both")[0]).kinds == {"logits", "hidden", "attention"}
    assert len(written.calls) == 10


def test_no_older_index_stands_beside_arrays_of_a_killed_run(run, work_cache, monkeypatch):
    run("hidden", kinds=["logits", "hidden"])

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(cache_teacher, "write_table", killed)
        with pytest.raises(KeyboardInterrupt):
            run("both")
    assert len(list(work_cache.rglob("*.attention.npy"))) == 1
    assert TeacherCache(run("both")[0]).kinds == {"logits", "hidden", "attention"}


def test_other_libraries_are_cached_anew(run, written, monkeypatch):
    run("one")
    monkeypatch.setattr(cache_teacher, "environment", lambda: {"torch": "0.0"})
    run("other")
    assert len(written.calls) == 10


def test_a_full_disk_leaves_nothing(run, work_cache, tmp_path, monkeypatch):
    """The arrays' room is taken first: a write into mapped memory without it would end the process."""
    sizes = []

    def full(_file, start, size):
        sizes.append((start, size))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache_teacher.os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left on device"):
        run()
    ((start, size),) = sizes
    assert start == 0 < size
    assert not [path for path in work_cache.rglob("*") if path.is_file()]
    assert not (tmp_path / "teacher").exists()


@pytest.mark.parametrize("kind", [".parquet", ".hidden.npy", ".attention.npy"])
@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_a_damaged_piece_is_computed_again(run, written, work_cache, kind, damage):
    one, _ = run("one")
    whole = contents(one)
    piece = sorted(path for path in work_cache.rglob(f"*{kind}"))[2]
    content = bytearray(piece.read_bytes())
    content[len(content) // 2] ^= 1
    piece.unlink()
    if damage != "gone":
        piece.write_bytes(content if damage == "flip" else content[:-3])
    again, _ = run("again")
    assert len(written.calls) == 6
    assert contents(again) == whole


def test_another_teacher_is_cached_anew(run, written, saved):
    run("one")
    run("other", teacher=saved(BertForSequenceClassification, num_hidden_layers=1))
    assert len(written.calls) == 10


def test_texts_longer_than_the_teacher_takes(run):
    with pytest.raises(InputError, match=r"^max_length: got 65, but the teacher takes 64 tokens"):
        run(max_length=65)


def test_what_another_experiment_has_made_in_the_meantime_is_taken(run, monkeypatch, uneven, augmented):
    """Two begin together, and one has asked about a piece when the other comes to it: the finished piece stays."""
    first, asked = [], []
    real = cache_teacher.for_each
    monkeypatch.setattr(
        cache_teacher, "for_each", lambda work, shards, *rest: first.extend(shards) or real(work, shards, *rest)
    )
    run()
    monkeypatch.setattr(cache_teacher, "run_teacher", lambda *_: asked.append(_))
    for shard in first:
        cache_teacher.cache_shard(shard)
    assert len(first) > 1
    assert asked == []
    array = first[0].stem.with_name(f"{first[0].stem.name}.hidden.npy")
    array.write_bytes(b"damaged")
    cache_teacher.cache_shard(first[0])
    assert len(asked) == 1


def test_in_bfloat16_the_cache_keeps_its_format(run, monkeypatch):
    """It has other numbers, near those of float32, and other names in the work cache."""
    exact, _ = run("exact")
    monkeypatch.setenv("L2A_PRECISION", "bfloat16")
    rounded, _ = run("rounded")
    assert contents(exact).keys() == contents(rounded).keys()
    for file in exact.glob("*.parquet"):
        assert pq.read_schema(file).equals(pq.read_schema(rounded / file.name))
    one, other = TeacherCache(exact), TeacherCache(rounded)
    ids = ["train-003", "train-011"]
    rows, other_rows = one.rows(ids), other.rows(ids)
    pairs = {
        "logits": (one.logits[rows], other.logits[other_rows]),
        "hidden": (one.hidden(rows).numpy(), other.hidden(other_rows).numpy()),
        "attention": (one.attention(rows, heads=4).numpy(), other.attention(other_rows, heads=4).numpy()),
    }
    for kind, (float32, bfloat16) in pairs.items():
        assert float32.dtype == bfloat16.dtype, kind
        assert 0 < np.abs(float32 - bfloat16).max() < 0.03 * np.abs(float32).max(), kind
