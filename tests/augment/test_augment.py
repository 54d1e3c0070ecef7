"""The shards of neighbours: their rows and metadata, and that a run which stopped resumes."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from helpers.prepared import complete

from pipeline.augment import augment as augment_module
from pipeline.augment.augment import augment, check_scripts
from pipeline.augment.methods import neighbours
from pipeline.augment.shards import read_augmented
from pipeline.data.texts import Texts, no_labels, read_texts, write_texts
from pipeline.errors import InputError
from pipeline.params.methods import METHODS

SHARDS = 3


@pytest.fixture
def run(make_params, uneven, tiny_masked_lm, tmp_path, work_cache):
    """Run the stage, with an empty work cache at first."""

    def run(name="out", *, prepared=uneven, samples=(1, 2), task="classification", shards=SHARDS, **settings):
        sizes = {"source": samples[0], "target": samples[1]}
        section = {"samples": sizes, "shards": shards, **settings.pop("augment", {})}
        params = make_params(task=task, augment=section, **settings)
        summary = augment(params, prepared=prepared, generator=tiny_masked_lm, out=tmp_path / name)
        return tmp_path / name, summary

    return run


@pytest.fixture
def drawn(monkeypatch):
    """The number of originals in each call of the sampler; with `stop_at`, the call that is killed."""
    calls = []
    real = neighbours.sample_neighbours

    def count(originals, *args, **kwargs):
        if len(calls) == count.stop_at:
            raise KeyboardInterrupt
        calls.append(len(originals))
        return real(originals, *args, **kwargs)

    count.stop_at, count.calls = None, calls
    monkeypatch.setattr(neighbours, "sample_neighbours", count)
    return count


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_shards_of_all_domains(run):
    out, summary = run()
    assert list(contents(out)) == [
        f"{domain}-0000{shard}-of-00003.parquet" for domain in ("source", "target", "unlabelled") for shard in range(3)
    ]
    assert summary == f"80 neighbours of 64 texts in 9 shards (0 not distinct, 0 texts too short), in {out}"


def test_a_row_has_all_columns(run, uneven):
    out, _ = run()
    table = read_augmented(out)
    assert table.schema.names == [
        "id", "original_id", "domain", "text", "text_pair", "original_text", "original_text_pair", "label", "distance",
        "length", "positions", "old_words", "new_words", "old_spans", "new_spans", "log_p_distance", "log_p_positions",
        "log_p_words", "log_p",
    ]  # fmt: skip
    rows = table.to_pylist()
    assert len({row["id"] for row in rows}) == len(rows) == 80
    originals = {"target": read_texts(uneven / "train.parquet"), "source": read_texts(uneven / "source.parquet")}
    for domain, texts in originals.items():
        written = dict(zip(texts.ids, texts.texts, strict=True))
        labels = {id_: texts.names[label] for id_, label in zip(texts.ids, texts.labels, strict=True)}
        of_domain = [row for row in rows if row["domain"] == domain]
        assert len(of_domain) == {"source": 48, "target": 32}[domain]
        assert {row["original_id"] for row in of_domain} == set(texts.ids)
        for row in of_domain:
            assert row["id"].rsplit("-", 1) == [row["original_id"], row["id"][-3:]]
            assert row["original_text"] == written[row["original_id"]] != row["text"]
            assert row["label"] == labels[row["original_id"]]
            assert row["text_pair"] is row["original_text_pair"] is None
            assert row["distance"] == len(row["positions"]) == len(row["old_words"]) == len(row["new_words"])
            for spans, words, text in (("old_spans", "old_words", "original_text"), ("new_spans", "new_words", "text")):
                assert [row[text][span["start"] : span["end"]] for span in row[spans]] == row[words]
            assert row["log_p"] == pytest.approx(row["log_p_distance"] + row["log_p_positions"] + row["log_p_words"])


def test_a_text_is_in_the_shard_of_its_row(run, uneven):
    out, _ = run()
    ids = read_texts(uneven / "train.parquet").ids
    for shard in range(3):
        table = pq.read_table(out / f"target-0000{shard}-of-00003.parquet")
        assert list(dict.fromkeys(table["original_id"].to_pylist())) == ids[shard::3]


def test_the_metadata_has_the_params(run):
    out, _ = run(alpha=0.7, seed=5)
    found = json.loads(pq.read_schema(out / "target-00001-of-00003.parquet").metadata[b"l2a"])
    assert found["params"]["alpha"] == 0.7
    assert found["params"]["seed"] == 5
    assert found["params"]["augment"]["count"] == "rescaled"
    assert (found["samples"], found["originals"]) == (2, 5)
    assert (found["not_distinct"], found["too_short"]) == (0, 0)
    assert len(found["fingerprint"]) == 32
    assert found["shard"] == "target-00001-of-00003.parquet"


def test_the_same_seed_gives_the_same_bytes(run, tmp_path, monkeypatch):
    one, _ = run("one")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))
    other, _ = run("other")
    assert contents(one) == contents(other)
    assert not any(str(tmp_path).encode() in content for content in contents(one).values())


def test_code_that_draws_the_same_gives_the_same_bytes(run, drawn, monkeypatch):
    one, _ = run("one")
    before = len(drawn.calls)
    monkeypatch.setattr("pipeline.augment.augment.code_hash", lambda module: f"a comment in {module}")
    other, _ = run("other")
    assert len(drawn.calls) == 2 * before
    assert contents(one) == contents(other)


def test_what_was_drawn_is_not_drawn_again(run, drawn):
    one, _ = run("one")
    assert drawn.calls == [16, 16, 16, 6, 5, 5]
    again, summary = run("again")
    assert len(drawn.calls) == 6
    assert contents(one) == contents(again)
    assert summary.startswith("80 neighbours of 64 texts")


def test_more_of_one_domain_leaves_the_other(run, drawn):
    run("one")
    run("other", samples=(1, 3))
    assert drawn.calls[6:] == [6, 5, 5]


@pytest.mark.parametrize(
    "changes",
    [
        {"alpha": 0.8},
        {"temperature": 2.0},
        {"seed": 2},
        {"augment": {"fill": "sequential"}},
        {"augment": {"min_distance": 2}},
        {"augment": {"count": "literal"}},
    ],
)
def test_another_setting_gives_other_shards(run, drawn, changes):
    one, other = run("one")[0], run("other", **changes)[0]
    assert len(drawn.calls) == 12
    for name, content in contents(one).items():
        assert content != (other / name).read_bytes()
    assert read_augmented(one, ["text"]) != read_augmented(other, ["text"])


def test_other_texts_give_other_shards(run, drawn, uneven, reviews, tmp_path):
    run()
    (tmp_path / "prepared").mkdir()
    (tmp_path / "prepared" / "source.parquet").write_bytes((uneven / "source.parquet").read_bytes())
    write_texts(tmp_path / "prepared" / "train.parquet", reviews(16, seed=77), "target")
    complete(tmp_path / "prepared")
    run("other", prepared=tmp_path / "prepared")
    assert drawn.calls[6:] == [6, 5, 5]


def test_other_libraries_give_other_shards(run, drawn, monkeypatch):
    run("one")
    monkeypatch.setattr(augment_module, "environment", lambda: {"torch": "0.0"})
    run("other")
    assert drawn.calls[6:] == [16, 16, 16, 6, 5, 5]


def test_a_killed_run_resumes(run, drawn, tmp_path, monkeypatch):
    drawn.stop_at = 4
    with pytest.raises(KeyboardInterrupt):
        run("killed")
    assert not (tmp_path / "killed").exists()
    drawn.stop_at = None
    resumed, _ = run("killed")
    assert drawn.calls == [16, 16, 16, 6, 5, 5]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))
    assert contents(resumed) == contents(run("uninterrupted")[0])


@pytest.mark.parametrize("damage", ["flip", "cut", "checksum"])
def test_a_damaged_shard_is_drawn_again(run, drawn, work_cache, damage):
    one, _ = run("one")
    whole = {name: bytes(content) for name, content in contents(one).items()}
    (piece,) = work_cache.rglob("target-00001-of-00003.parquet")
    content = bytearray(piece.read_bytes())
    if damage == "checksum":
        piece.with_name(f"{piece.name}.blake2b").unlink()
    else:
        content[len(content) // 2] ^= 1
        piece.write_bytes(content if damage == "flip" else content[:-9])
    again, _ = run("again")
    assert drawn.calls[6:] == [5]
    assert contents(again) == whole


def test_the_out_is_replaced_whole(run, tmp_path):
    run("out", shards=4)
    out, _ = run("out", samples=(0, 1))
    assert list(contents(out)) == [
        f"{domain}-0000{shard}-of-00003.parquet" for domain in ("source", "target", "unlabelled") for shard in range(3)
    ]


@pytest.mark.parametrize(("samples", "originals", "calls"), [((0, 2), 16, [6, 5, 5]), ((1, 0), 48, [16, 16, 16])])
def test_a_domain_without_samples(run, drawn, samples, originals, calls):
    out, summary = run(samples=samples)
    assert drawn.calls == calls
    assert summary.startswith(f"{originals * max(samples)} neighbours of {originals} texts in 9 shards")
    rows = [pq.read_metadata(path).num_rows for path in sorted(out.iterdir())]
    assert [bool(sum(rows[:3])), bool(sum(rows[3:]))] == [samples > 0 for samples in samples]


def test_no_samples_at_all(run, drawn):
    """Plain distillation: shards without rows, for which no model is loaded."""
    out, summary = run(samples=(0, 0))
    assert drawn.calls == []
    assert summary == f"0 neighbours of 0 texts in 9 shards (0 not distinct, 0 texts too short), in {out}"
    assert len(contents(out)) == 9
    whole, _ = run("whole")
    assert read_augmented(out).num_rows == 0
    assert read_augmented(out).schema.equals(read_augmented(whole).schema)


@pytest.fixture
def other_prepared(tmp_path):
    """Prepared texts of one's own; no source."""

    def write(texts, names=("negative", "positive"), pairs=None, labels=None):
        folder = tmp_path / "own"
        folder.mkdir()
        ids = [f"t{row}" for row in range(len(texts))]
        labels = labels if labels is not None else pa.array([row % 2 for row in range(len(texts))]).to_numpy()
        write_texts(folder / "train.parquet", Texts(ids, texts, pairs, labels, list(names)), "target")
        write_texts(folder / "source.parquet", Texts([], [], None, labels[:0], list(names)), "source")
        complete(folder)
        return folder

    return write


def test_no_source_and_fewer_texts_than_shards(run, other_prepared):
    out, summary = run(prepared=other_prepared(["a good film", "a bad joke"]), shards=4)
    assert summary.startswith("4 neighbours of 2 texts in 12 shards")
    assert [pq.read_metadata(path).num_rows for path in sorted(out.iterdir())] == [0, 0, 0, 0, 2, 2, *[0] * 6]
    assert read_augmented(out).num_rows == 4


def test_texts_that_cannot_change_are_counted(run, other_prepared):
    _, summary = run(prepared=other_prepared(["film", "a very good film"]), augment={"min_distance": 2}, shards=1)
    assert summary.startswith("2 neighbours of 2 texts in 3 shards (0 not distinct, 1 texts too short)")


def test_pairs(run, other_prepared):
    prepared = other_prepared(["a film", "a good joke"], pairs=["the plot", "it was bad"])
    out, _ = run(prepared=prepared, augment={"side": "second"}, shards=1)
    for row in read_augmented(out).to_pylist():
        assert row["text"] == row["original_text"]
        assert row["text_pair"] != row["original_text_pair"] in ("the plot", "it was bad")


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_neighbours_of_texts_without_labels(run, other_prepared, task):
    labels = None if task == "classification" else pa.array([0.5, 2.25], pa.float32()).to_numpy()
    names = ("negative", "positive") if labels is None else ()
    prepared = other_prepared(["a good film", "a bad joke"], names, labels=labels)
    texts = ["a very good film", "the plot is slow", "the cast is warm"]
    more = Texts(["u0", "u1", "u2"], texts, None, no_labels(3, names), list(names))
    write_texts(prepared / "unlabelled.parquet", more, "unlabelled")
    out, summary = run(
        prepared=prepared, task=task, samples=(1, 2), augment={"samples": {"source": 1, "target": 2, "unlabelled": 4}}
    )
    assert summary.startswith("16 neighbours of 5 texts in 9 shards")
    table = read_augmented(out)
    drawn = table.filter(pc.equal(table["domain"], "unlabelled"))
    assert drawn["original_id"].to_pylist() == ["u0"] * 4 + ["u1"] * 4 + ["u2"] * 4
    assert drawn["label"].null_count == 12
    assert table["label"].null_count == 12


def test_numbers_as_labels(run, other_prepared):
    labels = pa.array([0.5, 2.25], pa.float32()).to_numpy()
    out, _ = run(prepared=other_prepared(["a good film", "a bad joke"], (), labels=labels), task="regression")
    table = read_augmented(out, ["label", "original_id"])
    assert table.schema.field("label").type == pa.float64()
    assert set(zip(*table.to_pydict().values(), strict=True)) == {(0.5, "t0"), (2.25, "t1")}


def test_texts_longer_than_the_generator_takes(run):
    with pytest.raises(InputError, match=r"^max_length: got 65, but the generator takes 64 tokens"):
        run(max_length=65)


def test_reading_what_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"nothing: no such folder; run the augment stage first$"):
        read_augmented(tmp_path / "nothing")


def test_how_many_are_drawn_at_once_changes_nothing(run, drawn, monkeypatch, tmp_path):
    whole, _ = run("whole")
    monkeypatch.setattr(augment_module, "AT_ONCE", 5)
    monkeypatch.setattr(augment_module, "work_folder", lambda stage, _: tmp_path / stage / "again")
    (tmp_path / "augment" / "again").mkdir(parents=True)
    drawn.calls.clear()
    parts, summary = run("parts")
    assert max(drawn.calls) == 5
    assert sum(drawn.calls) == 64
    assert summary.startswith("80 neighbours of 64 texts in 9 shards (0 not distinct")
    one, other = read_augmented(whole).to_pandas(), read_augmented(parts).to_pandas()
    log_probs = ["log_p_words", "log_p"]
    pd.testing.assert_frame_equal(one.drop(columns=log_probs), other.drop(columns=log_probs))
    np.testing.assert_allclose(one[log_probs], other[log_probs], atol=1e-4)
    assert [metadata(each) for each in whole.iterdir()] == [metadata(parts / each.name) for each in whole.iterdir()]


@pytest.mark.parametrize("gone", [["source-00000"], ["target-00002"], ["source-00000", "source-00001", "source-00002"]])
def test_a_missing_shard(run, gone):
    out, _ = run()
    for name in gone:
        (out / f"{name}-of-00003.parquet").unlink()
    refused(out, f"{out}/{gone[0]}-of-00003.parquet: missing")


@pytest.mark.parametrize("name", ["all", "target-00003-of-00004", "zzz"])
def test_a_shard_under_two_names(run, name):
    out, _ = run()
    (out / f"{name}.parquet").write_bytes((out / "target-00001-of-00003.parquet").read_bytes())
    refused(out, f"{out}/{name}.parquet: its metadata names target-00001-of-00003.parquet")


def test_swapped_shards(run):
    out, _ = run()
    one, other = out / "source-00001-of-00003.parquet", out / "target-00000-of-00003.parquet"
    one.rename(out / "aside")
    other.rename(one)
    (out / "aside").rename(other)
    refused(out, f"{one}: its metadata names {other.name}")


def test_shards_made_by_hand_have_no_name(run, tmp_path):
    out, _ = run()
    (tmp_path / "hand").mkdir()
    whole = read_augmented(out)
    pq.write_table(whole, tmp_path / "hand" / "all-00000-of-00007.parquet")
    assert read_augmented(tmp_path / "hand").equals(whole)


def refused(folder, message):
    with pytest.raises(InputError) as error:
        read_augmented(folder, ["id"])
    assert str(error.value) == f"{message}; run the augment stage again"


def metadata(shard):
    return json.loads(pq.read_schema(shard).metadata[b"l2a"])


@pytest.mark.parametrize("method", [name for name in METHODS if name != "cbert"])
def test_a_script_that_the_generator_or_the_method_does_not_know(tokenizer, method):
    check_scripts(["a good film 电影"], tokenizer, method)
    with pytest.raises(InputError) as caught:
        check_scripts(["这部电影非常好看。", "a film"], tokenizer, method)
    assert str(caught.value).startswith(
        "generator.model: its vocabulary has no pieces of the script of most of the target's texts (han); accepted: "
        if METHODS[method].uses_generator
        else f"augment.method: got {method}, for which words stand between blanks, but "
    )


def test_a_script_that_the_generator_knows(sentence_piece):
    check_scripts(["这部电影非常好看。", "とても"], sentence_piece, "neighbours")
    check_scripts(["とても好き", "電"], sentence_piece, "tinybert")
