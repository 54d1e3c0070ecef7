"""The teacher's cache against a plain forward pass of transformers, whatever the order, padding and pieces."""

import errno

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoTokenizer, BertForSequenceClassification

from pipeline.artifacts import teacher_cache
from pipeline.artifacts.augmented import read_augmented
from pipeline.artifacts.teacher_cache import TeacherCache, cache_teacher
from pipeline.data.texts import Texts, read_texts, write_texts
from pipeline.errors import InputError


@pytest.fixture
def run(make_params, uneven, augmented, tiny_classifier, tmp_path):
    def run(name="teacher", *, prepared=uneven, augmented=augmented, teacher=tiny_classifier, **settings):
        settings.setdefault("distill", {"originals": ["target"]})
        params = make_params(augment={"shards": 2}, **settings)
        said = cache_teacher(params, prepared=prepared, augmented=augmented, teacher=teacher, out=tmp_path / name)
        return tmp_path / name, said

    return run


@pytest.fixture(scope="module")
def eager(tiny_classifier):
    """The teacher as transformers runs it: logits, last states and last attention of one text."""
    model = BertForSequenceClassification.from_pretrained(tiny_classifier, attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_classifier)

    @torch.no_grad()
    def states(text, pair=None):
        given = tokenizer(text, pair, truncation="longest_first", max_length=16, return_tensors="pt")
        out = model(**given, output_attentions=True, output_hidden_states=True)
        return out.logits[0], out.hidden_states[-1][0], out.attentions[-1][0]

    return states


@pytest.fixture(scope="module")
def texts(uneven, augmented):
    """Every cached text by its id: neighbours and the target's originals."""
    table, originals = read_augmented(augmented, ["id", "text"]), read_texts(uneven / "train.parquet")
    neighbours = dict(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))
    return neighbours | dict(zip(originals.ids, originals.texts, strict=True))


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def close_in_half(found, wanted):
    torch.testing.assert_close(found.float(), wanted, rtol=2e-3, atol=2e-3)


def test_it_holds_what_the_teacher_says_and_thinks(run, texts, eager):
    out, said = run()
    cache = TeacherCache(out)
    ids = list(texts)
    np.random.default_rng(0).shuffle(ids)
    rows = cache.rows(ids)
    hidden, attention = cache.hidden(rows), cache.attention(rows, heads=4)
    assert hidden.dtype == attention.dtype == torch.float16
    assert hidden.shape == (len(ids), cache.tokens.max(), 32)
    for order, id_ in enumerate(ids):
        logits, states, probabilities = eager(texts[id_])
        n = len(states)
        assert cache.tokens[rows[order]] == n
        torch.testing.assert_close(torch.from_numpy(cache.logits[rows[order]]), logits, rtol=1e-4, atol=1e-4)
        close_in_half(hidden[order, :n], states)
        close_in_half(attention[order, :, :n, :n], probabilities)
        assert (hidden[order, n:] == 0).all()
        assert attention[order, :, n:].abs().sum() == attention[order, :, :, n:].abs().sum() == 0
    assert said.startswith(f"{len(ids)} texts with logits, hidden, attention, ")


def test_a_batch_is_padded_to_its_longest(run, texts):
    cache = TeacherCache(run()[0])
    short = min(texts, key=lambda id_: cache.tokens[cache.rows([id_])[0]])
    rows = cache.rows([short, short])
    n = cache.tokens[rows[0]]
    assert cache.hidden(rows).shape == (2, n, 32)
    assert cache.attention(rows, heads=4).shape == (2, 4, n, n)


def test_it_holds_no_padding(run, texts):
    out, _ = run()
    tokens = np.concatenate([pq.read_table(index)["tokens"].to_numpy() for index in sorted(out.glob("*.parquet"))])
    assert len(np.unique(tokens)) > 1
    size = {kind: sum(np.load(path).size for path in out.glob(f"*.{kind}.npy")) for kind in ("hidden", "attention")}
    assert size == {"hidden": tokens.sum() * 32, "attention": (tokens**2).sum() * 4}


def test_long_texts_and_pairs_are_cut_as_the_teacher_reads_them(run, eager, tmp_path):
    ids, first = ["a", "b", "c"], ["a good film", "the joke was so very slow and dull , it was", "!"]
    second = ["the plot", "never a good time of the cast , not so very funny", "a very " * 30]
    for name, domain in (("train", "target"), ("source", "source")):
        write_texts(
            tmp_path / f"{name}.parquet",
            Texts(ids, first, second, np.array([0, 1, 0]), ["negative", "positive"]),
            domain,
        )
    shards = tmp_path / "shards"
    shards.mkdir()
    written = {"id": ["x"], "text": ["the actor"], "text_pair": ["is it good ?"]}
    pq.write_table(teacher_cache.pa.table(written), shards / "target-00000-of-00001.parquet")
    cache = TeacherCache(run(prepared=tmp_path, augmented=shards)[0])
    for id_, *pair in [*zip(ids, first, second, strict=True), ("x", "the actor", "is it good ?")]:
        row = cache.rows([id_])
        logits, states, probabilities = eager(*pair)
        torch.testing.assert_close(torch.from_numpy(cache.logits[row[0]]), logits, rtol=1e-4, atol=1e-4)
        close_in_half(cache.hidden(row)[0], states)
        close_in_half(cache.attention(row, heads=4)[0], probabilities)


def kept(*kinds):
    """The settings of a cache that keeps these kinds alone, and of what does without the others."""
    wanted = {kind: kind in kinds for kind in ("logits", "hidden", "attention")}
    objectives = {"dark": wanted["logits"], "hidden": wanted["hidden"], "attention": wanted["attention"]}
    return {
        "cache": wanted,
        "objectives": {name: int(on) for name, on in objectives.items()},
        "selector": {"kind": "reinforced" if wanted["logits"] else "none"},
    }


@pytest.mark.parametrize(
    "kinds",
    [
        ["logits", "hidden"],
        ["logits", "attention"],
        ["logits"],
        ["hidden", "attention"],
        ["hidden"],
        ["attention"],
    ],
)
def test_what_is_switched_off_is_not_kept(run, kinds):
    out, said = run(**kept(*kinds))
    cache = TeacherCache(out)
    assert cache.kinds == set(kinds)
    assert bool(list(out.glob("*.hidden.npy"))) == ("hidden" in kinds)
    assert bool(list(out.glob("*.attention.npy"))) == ("attention" in kinds)
    assert all(("logits" in pq.read_schema(index).names) == ("logits" in kinds) for index in out.glob("*.parquet"))
    assert said.startswith(f"112 texts with {', '.join(kinds)}, 0 MB, ")
    whole = TeacherCache(run("whole")[0])
    assert whole.kinds == {"logits", "hidden", "attention"}
    ids = [f"train-{row:03d}" for row in range(16)]
    rows, of_whole = cache.rows(ids), whole.rows(ids)
    if "logits" in kinds:
        torch.testing.assert_close(cache.logits[rows], whole.logits[of_whole])
    else:
        assert cache.logits.shape == (112, 0)
    if "hidden" in kinds:
        close_in_half(cache.hidden(rows), whole.hidden(of_whole).float())
    if "attention" in kinds:
        close_in_half(cache.attention(rows, heads=4), whole.attention(of_whole, heads=4).float())


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


def test_an_id_that_is_not_cached(run):
    cache = TeacherCache(run()[0])
    with pytest.raises(InputError, match=r"^teacher cache: no entry for id 'gone'; run the cache_teacher stage again$"):
        cache.rows(["train-000", "gone"])


def test_no_cache_and_no_shards(run, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: no teacher cache; run the cache_teacher stage first$"):
        TeacherCache(tmp_path / "empty")
    with pytest.raises(InputError, match=r"empty: no shards; run the augment stage first$"):
        run(augmented=tmp_path / "empty")
    assert not (tmp_path / "teacher").exists()


def test_an_array_that_is_none(run):
    out, _ = run()
    array = next(out.glob("*.hidden.npy"))
    array.unlink()
    array.write_bytes(b"no array at all, and long enough to look at")
    with pytest.raises(InputError, match=r"hidden\.npy: not a NumPy array"):
        TeacherCache(out)


def test_the_same_bytes_again(run, tmp_path, monkeypatch):
    one, _ = run("one")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))
    assert contents(one) == contents(run("other")[0])


@pytest.fixture
def written(monkeypatch):
    """The names of the pieces that were computed; with `stop_at`, the one that is killed."""
    real = teacher_cache.write_piece

    def count(model, tokenizer, piece, *rest):
        if len(count.calls) == count.stop_at:
            raise KeyboardInterrupt
        count.calls.append(piece.name)
        real(model, tokenizer, piece, *rest)

    count.stop_at, count.calls = None, []
    monkeypatch.setattr(teacher_cache, "write_piece", count)
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
    less, _ = run("less", **kept("logits", "attention"))
    assert len(written.calls) == 5
    assert contents(less) == {name: file for name, file in contents(whole).items() if ".hidden." not in name}
    run("without_logits", **kept("hidden"))
    assert len(written.calls) == 10
    # What is missing is computed beside what is there.
    run("more", **kept("hidden", "attention"))
    assert len(written.calls) == 15


def test_other_libraries_are_cached_anew(run, written, monkeypatch):
    run("one")
    monkeypatch.setattr(teacher_cache, "environment", lambda: {"torch": "0.0"})
    run("other")
    assert len(written.calls) == 10


def test_a_full_disk_leaves_nothing(run, work_cache, tmp_path, monkeypatch):
    """The arrays' room is taken first: a write into mapped memory without it would end the process."""
    sizes = []

    def full(_file, start, size):
        sizes.append((start, size))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(teacher_cache.os, "posix_fallocate", full)
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
