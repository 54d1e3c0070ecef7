"""The inspect command: which neighbours are shown, and what is joined to them."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.hand_made import neighbour, undecided, write_selection, write_shard
from transformers import BertForSequenceClassification

from pipeline.augment import selection as selection_module
from pipeline.data.texts import Texts, write_texts
from pipeline.errors import InputError
from pipeline.inspect import inspect as inspect_module
from pipeline.inspect import predictions as predictions_module
from pipeline.inspect.query import ArtifactPaths, Filter
from pipeline.storage import parquet as parquet_module
from pipeline.storage.fingerprint import folder_hash
from pipeline.storage.parquet import write_table


@pytest.fixture(scope="module")
def whole(augmented):
    """All neighbours, read with pandas."""
    return pd.concat([pd.read_parquet(file) for file in sorted(augmented.glob("*.parquet"))], ignore_index=True)


@pytest.fixture(scope="module")
def other_student(tiny_classifier, whole, tmp_path_factory):
    """A student that predicts both classes, unlike its teacher, which predicts only one."""
    return undecided(tiny_classifier, whole["text"].tolist(), tmp_path_factory.mktemp("student"))


def seen(paths, *, rows=10, seed=None, disagree=False, **filters):
    found = []
    summary = inspect_module.inspect(paths, Filter(**filters), found.append, rows=rows, seed=seed, disagree=disagree)
    return found, summary


def refused(paths, **filters):
    with pytest.raises(InputError) as error:
        seen(paths, **filters)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_without_a_filter_the_first_are_shown_in_order(augmented, uneven, whole):
    found, summary = seen(ArtifactPaths(augmented, uneven), rows=7)
    assert [row["id"] for row in found] == whole["id"][:7].tolist()
    assert found[0]["text"] == whole["text"][0]
    assert {row[name] for row in found for name in ("pi", "kept", "teacher", "teacher_on_original", "student")} == {
        None
    }
    assert summary == f"7 of 96 neighbours in {augmented} (not there yet: teacher cache, selection, student)"


def test_more_rows_than_a_batch_are_in_order(augmented, uneven, whole, monkeypatch):
    monkeypatch.setattr(inspect_module, "BATCH_ROWS", 5)
    monkeypatch.setattr(parquet_module, "BATCH_ROWS", 3)
    found, _ = seen(ArtifactPaths(augmented, uneven), rows=1000)
    assert [row["id"] for row in found] == whole["id"].tolist()


def test_rows_are_chosen_by_domain_original_distance_and_selection(augmented, uneven, whole, tmp_path):
    kept = dict(zip(whole["id"], np.arange(len(whole)) % 3 == 0, strict=True))
    paths = ArtifactPaths(augmented, uneven, selection=write_selection(tmp_path / "selection.parquet", kept))
    expected = {
        "domain": whole["domain"] == "target",
        "original": whole["original_id"] == "train-004",
        "distance": whole["distance"] == 2,
        "kept": ~whole["id"].map(kept),
    }
    filters = {"domain": "target", "original": "train-004", "distance": 2, "kept": False}
    for name, value in filters.items():
        found, _ = seen(paths, rows=100, **{name: value})
        assert [row["id"] for row in found] == whole["id"][expected[name]].tolist() != []
    together = expected["domain"] & expected["distance"] & expected["kept"]
    found, summary = seen(paths, rows=1, domain="target", distance=2, kept=False)
    assert summary.startswith(f"1 of {together.sum()} neighbours")
    assert found[0]["id"] == whole["id"][together].iloc[0]
    assert (found[0]["pi"], found[0]["kept"]) == (0.25, False)


def test_a_selection_may_have_originals_too(augmented, uneven, whole, tmp_path):
    kept = dict.fromkeys([*whole["id"], "source-000", "unlabelled-003"], True)
    paths = ArtifactPaths(augmented, uneven, selection=write_selection(tmp_path / "selection.parquet", kept))
    assert len(paths.selection_table) == len(whole)
    found, summary = seen(paths, rows=100, kept=True)
    assert [row["id"] for row in found] == whole["id"].tolist()
    assert "other neighbours" not in summary


def test_a_seed_picks_any_of_them_and_the_same_again(augmented, uneven, whole):
    paths = ArtifactPaths(augmented, uneven)
    once, again, other = ([row["id"] for row in seen(paths, rows=20, seed=seed)[0]] for seed in (1, 1, 2))
    assert once == again != other
    assert len(set(once)) == 20
    assert once == [id_ for id_ in whole["id"] if id_ in once]
    assert set(once) != set(whole["id"][:20])
    assert all(id_.startswith("train") for id_ in [row["id"] for row in seen(paths, seed=1, domain="target")[0]])


def test_teacher_and_a_student_that_is_the_teacher_agree(augmented, uneven, cached, tiny_classifier):
    paths = ArtifactPaths(augmented, uneven, cache=cached, student=tiny_classifier)
    found, _ = seen(paths, rows=96)
    for row in found:
        assert row["teacher"]["class"] == row["student"]["class"]
        assert row["teacher"]["probability"] == pytest.approx(row["student"]["probability"], abs=2e-4)
        # The originals of source texts are not in this cache.
        assert (row["teacher_on_original"] is None) == (row["domain"] == "source")
    assert refused(paths, disagree=True) == "--disagree: teacher and student disagree on none of 96 neighbours"


def test_those_that_teacher_and_student_disagree_on(augmented, uneven, cached, other_student, monkeypatch):
    monkeypatch.setattr(inspect_module, "FIRST_BATCH", 4)
    paths = ArtifactPaths(augmented, uneven, cache=cached, student=other_student)
    everything, _ = seen(paths, rows=96)
    apart = [row["id"] for row in everything if row["teacher"]["class"] != row["student"]["class"]]
    assert 30 < len(apart) < 70
    found, summary = seen(paths, rows=96, disagree=True)
    assert [row["id"] for row in found] == apart
    assert summary == (
        f"teacher and student disagree on {len(apart)} of 96 neighbours searched (not there yet: selection)"
    )
    few, summary = seen(paths, rows=2, disagree=True)
    assert [row["id"] for row in few] == apart[:2]
    searched = [row["id"] for row in everything].index(apart[1]) + 1
    assert summary.startswith(f"teacher and student disagree on 2 of {searched} neighbours")


def test_any_of_those_that_they_disagree_on(augmented, uneven, cached, other_student, monkeypatch):
    monkeypatch.setattr(inspect_module, "FIRST_BATCH", 4)
    paths = ArtifactPaths(augmented, uneven, cache=cached, student=other_student)
    in_order, _ = seen(paths, rows=96, disagree=True)
    shuffled, summary = seen(paths, rows=96, disagree=True, seed=1)
    assert [row["id"] for row in in_order] != [row["id"] for row in shuffled]
    assert sorted(row["id"] for row in in_order) == sorted(row["id"] for row in shuffled)
    assert f"{len(in_order)} of 96 neighbours" in summary
    # Fewer rows are the first of the same order, and not the first of the shards.
    for rows in (1, 5, 20):
        assert seen(paths, rows=rows, disagree=True, seed=1)[0] == shuffled[:rows]


def test_each_file_is_read_once_however_many_rows_are_shown(augmented, uneven, cached, whole, tmp_path, monkeypatch):
    selection = write_selection(tmp_path / "selection.parquet", dict.fromkeys(whole["id"], True))
    opened = []

    def recorded(read):
        def reading(files, *args):
            opened.extend(files if isinstance(files, list) else [files])
            return read(files, *args)

        return reading

    monkeypatch.setattr(inspect_module, "BATCH_ROWS", 5)
    monkeypatch.setattr(parquet_module, "BATCH_ROWS", 3)
    monkeypatch.setattr(inspect_module, "scan", recorded(parquet_module.scan))
    monkeypatch.setattr(predictions_module, "scan", recorded(parquet_module.scan))
    monkeypatch.setattr(selection_module, "read_table", recorded(selection_module.read_table))
    shards = [shard for shard in augmented.glob("*.parquet") if pq.read_metadata(shard).num_rows]
    for seed in (None, 1):
        opened.clear()
        found, _ = seen(ArtifactPaths(augmented, uneven, cache=cached, selection=selection), rows=96, seed=seed)
        assert [row["id"] for row in found] == whole["id"].tolist()
        assert sorted(opened) == sorted([*shards, *cached.glob("*.parquet"), selection])


def test_the_selection_is_joined_by_id(augmented, uneven, whole, tmp_path):
    kept = dict(zip(whole["id"], np.arange(96) % 3 == 0, strict=True))
    selection = write_selection(tmp_path / "selection.parquet", dict(reversed(kept.items())))
    found, summary = seen(ArtifactPaths(augmented, uneven, selection=selection), rows=20, seed=3)
    assert {row["kept"] for row in found} == {True, False}
    for row in found:
        assert (row["kept"], row["pi"]) == (kept[row["id"]], 0.75 if kept[row["id"]] else 0.25)
    assert summary.endswith("(not there yet: teacher cache, student)")


@pytest.mark.parametrize("other", [{}, {"t0-001": True}, {"t0-001": True, "t0-003": True, "t0-004": True}])
def test_a_selection_of_other_neighbours_is_not_used(uneven, tmp_path, other):
    shards = write_shard(tmp_path / "augmented", [neighbour("t0-001"), neighbour("t0-002")])
    selection = write_selection(tmp_path / "selection.parquet", other)
    paths = ArtifactPaths(shards, uneven, selection=selection)
    found, summary = seen(paths)
    assert {(row["pi"], row["kept"]) for row in found} == {(None, None)}
    assert summary.endswith(f"; {selection} was made for other neighbours: run the distill stage again)")
    assert refused(paths, kept=False, domain="target") == (
        f"--domain target --dropped: {selection} was made for other neighbours than those in {shards}; "
        "run the distill stage again"
    )


def test_a_selection_of_other_neighbours_with_the_same_ids_is_not_used(uneven, tmp_path):
    shards = write_shard(tmp_path / "augmented", [neighbour("t0-001"), neighbour("t0-002")])
    selection = tmp_path / "selection.parquet"
    table = pa.table({"id": ["t0-001", "t0-002"], "pi": [0.5, 0.5], "kept": [True, True]})
    for shards_hash, used in ((folder_hash(shards, "*.parquet"), True), ("0" * 32, False)):
        write_table(table.replace_schema_metadata({"augmented": shards_hash}), selection)
        found, _ = seen(ArtifactPaths(shards, uneven, selection=selection))
        assert {row["kept"] for row in found} == {True if used else None}


def test_a_cache_without_logits_has_no_predictions(augmented, uneven, tmp_path):
    write_table(pa.table({"id": ["x"], "text_hash": [1]}), tmp_path / "a.parquet")
    found, _ = seen(ArtifactPaths(augmented, uneven, cache=tmp_path))
    assert {(row["teacher"], row["teacher_on_original"]) for row in found} == {(None, None)}


def test_the_teachers_prediction_is_joined_by_text_and_not_by_id(uneven, cached, whole, tmp_path):
    rows = whole.astype(object).where(whole.notna(), None).to_dict("records")
    rows = [
        {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in row.items()}
        for row in rows
    ]
    rows[1]["text"] += " and more"
    found, _ = seen(ArtifactPaths(write_shard(tmp_path / "augmented", rows), uneven, cache=cached), rows=3)
    assert [row["teacher"] is None for row in found] == [False, True, False]


def test_pairs_and_numbers(saved, tmp_path):
    student = saved(BertForSequenceClassification, num_labels=1, problem_type="regression")
    pairs = [neighbour(f"t0-00{n}", text=f"a {word} film", pair=("so good", "so bad")) for n, word in enumerate("ab")]
    shards = write_shard(tmp_path / "augmented", [row | {"label": 2.5} for row in pairs], task="regression")
    texts = Texts(["t0"], ["a good film"], ["so good"], np.array([2.5], dtype=np.float32), [])
    write_texts(tmp_path / "train.parquet", texts, "target")
    paths = ArtifactPaths(shards, tmp_path, student=student)
    found, _ = seen(paths)
    assert [(row["text_pair"], row["label"]) for row in found] == [("so bad", 2.5)] * 2
    assert all(isinstance(row["student"], float) for row in found)
    assert found[0]["student"] != found[1]["student"]
    assert "regression" in refused(ArtifactPaths(shards, tmp_path, cache=tmp_path, student=student), disagree=True)


def test_what_cannot_be_shown_is_one_line(augmented, uneven, cached, tmp_path, reviews):
    paths = ArtifactPaths(augmented, uneven)
    assert (
        refused(ArtifactPaths(tmp_path / "no", uneven))
        == f"{tmp_path / 'no'}: no such folder; run the augment stage first"
    )
    assert "no shards; run the augment stage" in refused(ArtifactPaths(tmp_path, uneven))
    assert refused(ArtifactPaths(uneven, uneven)).startswith(f"{uneven / 'source.parquet'}: no column 'original_id'")
    assert "no neighbours of 'train-999'; accepted: an original's id, such as source-000" in refused(
        paths, original="train-999"
    ).replace(f"{augmented} has ", "")
    assert refused(paths, original="train-004", distance=40).endswith(
        "no neighbours that match --original train-004 --distance 40"
    )
    assert refused(paths, kept=True) == "--kept: there is no selection.parquet yet; run the distill stage first"
    assert "no student yet" in refused(ArtifactPaths(augmented, uneven, cache=cached), disagree=True)
    assert "no teacher cache yet" in refused(paths, disagree=True)
    assert "no rows" not in refused(ArtifactPaths(write_shard(tmp_path / "empty", []), uneven))
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "a.parquet").write_bytes((augmented / "target-00000-of-00002.parquet").read_bytes()[:-40])
    assert f"{tmp_path / 'damaged' / 'a.parquet'}: damaged" in refused(ArtifactPaths(tmp_path / "damaged", uneven))


def test_a_cache_or_shards_of_another_task_are_named(augmented, uneven, cached, tmp_path, reviews):
    numbers = Texts(["t0"], ["good"], None, np.array([1.5], dtype=np.float32), [])
    write_texts(tmp_path / "train.parquet", numbers, "target")
    assert "its labels are classes" in refused(ArtifactPaths(augmented, tmp_path, cache=cached))
    (tmp_path / "cache").mkdir()
    write_table(pa.table({"id": ["x"], "text_hash": [1], "logits": [[0.5]]}), tmp_path / "cache" / "a.parquet")
    assert "1 outputs a text where the prepared texts need 2" in refused(
        ArtifactPaths(augmented, uneven, cache=tmp_path / "cache"), rows=1
    )
