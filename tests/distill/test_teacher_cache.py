"""The teacher's cache against a plain forward pass of transformers, whatever the order, padding and pieces."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoTokenizer, BertForSequenceClassification

from pipeline.augment.shards import read_augmented
from pipeline.data.texts import Texts, read_texts, write_texts
from pipeline.distill.teacher_cache import TeacherCache
from pipeline.errors import InputError


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


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="Linux tells what of a process is mapped files")
def test_what_has_been_read_is_no_memory_of_the_process(tmp_path):
    texts, tokens, width = 400, 20, 2000
    size = texts * tokens * width * 2
    np.save(tmp_path / "one.hidden.npy", np.ones((texts * tokens, width), dtype=np.float16))
    starts = np.arange(texts) * tokens
    columns = {"text_hash": starts, "tokens": [tokens] * texts, "hidden_start": starts, "attention_start": starts}
    pq.write_table(pa.table({"id": [str(row) for row in range(texts)]} | columns), tmp_path / "one.parquet")
    cache = TeacherCache(tmp_path)
    before = mapped()
    for rows in np.array_split(np.arange(texts), 20):
        assert cache.hidden(rows).shape == (20, tokens, width)
    assert mapped() - before < size / 4


def mapped():
    """Bytes of mapped files that count as this process's memory."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("RssFile")) * 1024


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
    pq.write_table(pa.table(written), shards / "target-00000-of-00001.parquet")
    cache = TeacherCache(run(prepared=tmp_path, augmented=shards)[0])
    for id_, *pair in [*zip(ids, first, second, strict=True), ("x", "the actor", "is it good ?")]:
        row = cache.rows([id_])
        logits, states, probabilities = eager(*pair)
        torch.testing.assert_close(torch.from_numpy(cache.logits[row[0]]), logits, rtol=1e-4, atol=1e-4)
        close_in_half(cache.hidden(row)[0], states)
        close_in_half(cache.attention(row, heads=4)[0], probabilities)


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
    out, said = run(kinds=kinds)
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


def test_an_id_that_is_not_cached(run):
    cache = TeacherCache(run()[0])
    with pytest.raises(InputError, match=r"^teacher cache: no entry for id 'gone'; run the cache_teacher stage again$"):
        cache.rows(["train-000", "gone"])


def test_no_cache(tmp_path):
    with pytest.raises(InputError, match=r"no teacher cache; run the cache_teacher stage first$"):
        TeacherCache(tmp_path)


def test_an_array_that_is_none(run):
    out, _ = run()
    array = next(out.glob("*.hidden.npy"))
    array.unlink()
    array.write_bytes(b"no array at all, and long enough to look at")
    with pytest.raises(InputError) as error:
        TeacherCache(out)
    assert str(error.value) == f"{array}: damaged, or of another piece; run the cache_teacher stage again"
    # Made by hand: nothing vouches for it.
    index = array.with_name(array.name.replace(".hidden.npy", ".parquet"))
    pq.write_table(pq.read_table(index).replace_schema_metadata(), index)
    with pytest.raises(InputError, match=r"hidden\.npy: not a NumPy array"):
        TeacherCache(out)


@pytest.mark.parametrize("kind", ["hidden", "attention"])
@pytest.mark.parametrize("place", [8, 20, 70, -1])
def test_a_flipped_byte_in_an_array(run, kind, place):
    out, _ = run()
    array = sorted(out.glob(f"*.{kind}.npy"))[1]
    content = bytearray(array.read_bytes())
    content[place] ^= 1
    # The work cache's own stays whole.
    array.unlink()
    array.write_bytes(content)
    refused(out, f"{array}: damaged, or of another piece")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # The first is found first.
        ("source-00000-of-00002.hidden.npy", "source-00001-of-00002.hidden.npy"),
        ("source-00000-of-00002.attention.npy", "target-00000-of-00002.attention.npy"),
        ("source-00000-of-00002.hidden.npy", "source-00000-of-00002.attention.npy"),
    ],
)
def test_swapped_arrays(run, one, other):
    out, _ = run()
    TeacherCache(out)
    swap(out / one, out / other)
    refused(out, f"{out / one}: damaged, or of another piece")


def test_swapped_pieces(run):
    """Each with its arrays, or the index alone: an index tells whose it is."""
    out, _ = run()
    for kind in ("parquet", "hidden.npy", "attention.npy"):
        swap(out / f"source-00000-of-00002.{kind}", out / f"source-00001-of-00002.{kind}")
        refused(out, f"{out}/source-00000-of-00002.parquet: its metadata names source-00001-of-00002")


def test_an_array_that_the_index_does_not_know(run):
    less, whole = run("less", kinds=["logits", "attention"])[0], run("whole")[0]
    array = "source-00000-of-00002.hidden.npy"
    (less / array).write_bytes((whole / array).read_bytes())
    refused(less, f"{less / array}: damaged, or of another piece")


def swap(one, other):
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def refused(folder, said):
    with pytest.raises(InputError) as error:
        TeacherCache(folder)
    assert str(error.value) == f"{said}; run the cache_teacher stage again"


def test_an_index_with_a_logit_too_few(run):
    out, _ = run()
    index = min(out.glob("*.parquet"))
    table = pq.read_table(index)
    logits = [table["logits"].to_pylist()[0][:1], *table["logits"].to_pylist()[1:]]
    pq.write_table(table.set_column(table.column_names.index("logits"), "logits", [logits]), index)
    refused(out, f"{out}: texts with different numbers of logits")
    pq.write_table(table.set_column(table.column_names.index("logits"), "logits", [[[None, 1.0]] * len(table)]), index)
    refused(out, f"{index}, column 'logits': {len(table)} without a value")
