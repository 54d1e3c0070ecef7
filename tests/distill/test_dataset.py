"""What the student learns from: every text once, with its label, its chance and the teacher's word on it."""

import copy
import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from helpers.prepared import complete
from transformers import BertForSequenceClassification

from pipeline.augment.shards import read_augmented
from pipeline.data.texts import Texts, no_labels, read_texts, write_texts
from pipeline.distill.cache_teacher import cache_teacher
from pipeline.distill.dataset import read_dataset
from pipeline.distill.teacher_cache import TeacherCache
from pipeline.errors import InputError


@pytest.fixture
def dataset(make_params, uneven, augmented, cached, tokenizer):
    def read(*, prepared=uneven, augmented=augmented, cache=cached, student=tokenizer, **sections):
        folders = {"prepared": prepared, "augmented": augmented, "cache": cache}
        return read_dataset(make_params(**sections), **folders, tokenizer=student, teacher_tokenizer=tokenizer)

    return read


def test_neighbours_and_the_originals_asked_for(dataset, augmented, uneven):
    found = dataset()
    neighbours, originals = (
        read_augmented(augmented, ["id"])["id"].to_pylist(),
        read_texts(uneven / "train.parquet").ids,
    )
    assert found.ids.to_pylist() == neighbours + originals
    assert len(found) == 112
    assert found.droppable.tolist() == [True] * 96 + [False] * 16
    assert found.domains.to_pylist() == ["source"] * 48 + ["target"] * 64
    assert dataset(distill={"originals": []}).ids.to_pylist() == neighbours


def test_every_text_with_its_label_and_tokens(dataset, augmented, uneven, tokenizer):
    found = dataset()
    table, originals = read_augmented(augmented), read_texts(uneven / "train.parquet")
    texts = table["text"].to_pylist() + originals.texts
    labels = table["label"].to_pylist() + [originals.names[label] for label in originals.labels]
    assert found.labels.tolist() == [["negative", "positive"].index(label) for label in labels]
    rows = np.array([100, 3, 50])
    wanted = tokenizer([texts[row] for row in rows], padding=True, return_tensors="pt")
    inputs = found.inputs(rows)
    torch.testing.assert_close(inputs["input_ids"], wanted["input_ids"])
    torch.testing.assert_close(inputs["attention_mask"], wanted["attention_mask"])


def test_the_teacher_s_word_on_each(dataset, cached):
    found, cache = dataset(), TeacherCache(cached)
    rows = np.array([100, 3, 50])
    at = cache.rows(found.ids.take(rows))
    torch.testing.assert_close(found.teacher_logits(rows), torch.from_numpy(cache.logits[at]))
    assert found.cache_rows[rows].tolist() == at.tolist()
    assert (cache.tokens[found.cache_rows] == found.encoded.lengths).all()


def test_the_chance_is_standardised_over_the_neighbours(dataset, augmented):
    found = dataset().log_p
    log_p = read_augmented(augmented, ["log_p"])["log_p"].to_numpy()
    np.testing.assert_allclose(found[:96], (log_p - log_p.mean()) / log_p.std(), rtol=1e-4, atol=1e-5)
    # The selector never sees an original.
    assert (found[96:] == 0).all()


@pytest.mark.parametrize(
    ("missing", "given", "key", "off", "without"),
    [
        ("hidden", {}, "objectives.hidden", "0", {"objectives": {"hidden": 0}}),
        (
            "hidden",
            {"objectives": {"hidden": 0}, "selector": {"representations": True}},
            "selector.representations",
            "false",
            {"objectives": {"hidden": 0}, "selector": {"representations": True, "kind": "none"}},
        ),
        ("attention", {}, "objectives.attention", "0", {"objectives": {"attention": 0}}),
        ("logits", {}, "objectives.dark", "0", {"objectives": {"dark": 0}, "selector": {"kind": "none"}}),
        (
            "logits",
            {"objectives": {"dark": 0}},
            "selector.kind",
            "none",
            {"objectives": {"dark": 0}, "selector": {"kind": "none"}},
        ),
    ],
)
def test_a_cache_without_what_is_needed(dataset, cached, tmp_path, missing, given, key, off, without):
    folder = tmp_path / "teacher"
    shutil.copytree(cached, folder, ignore=shutil.ignore_patterns(f"*.{missing}.npy"))
    if missing == "logits":
        for index in folder.glob("*.parquet"):
            pq.write_table(pq.read_table(index).drop_columns("logits"), index)
    with pytest.raises(InputError) as error:
        dataset(cache=folder, **given)
    assert str(error.value) == (
        f"{key}: it needs the teacher's {missing}, which {folder} does not contain; "
        f"accepted: {key}: {off}, or cache.{missing}: true and the cache_teacher stage again"
    )
    assert len(dataset(cache=folder, **without)) == 112


def test_a_cache_of_other_texts(dataset, cached, tmp_path):
    shutil.copytree(cached, tmp_path / "teacher", ignore=shutil.ignore_patterns("target-originals*"))
    with pytest.raises(InputError, match=r"no entry for id 'train-000'"):
        dataset(cache=tmp_path / "teacher")
    assert len(dataset(cache=tmp_path / "teacher", distill={"originals": []})) == 96
    with pytest.raises(InputError, match=r"no entry for id 'source-000'"):
        dataset(distill={"originals": ["source"]})


def test_a_cache_of_texts_cut_elsewhere(dataset):
    with pytest.raises(
        InputError, match=r"^teacher cache: .* has (9|10|11|12) tokens in it, and 8 with this max_length and the teach"
    ):
        dataset(max_length=8)
    assert len(dataset(max_length=8, objectives=STATES_OFF)) == 112


STATES_OFF = {"hidden": 0, "attention": 0}


def test_texts_are_aligned_where_states_of_two_tokenizers_are_compared(dataset, byte_level, tokenizer, cached):
    assert dataset().alignment is None
    assert dataset(student=byte_level, objectives=STATES_OFF).alignment is None
    found = dataset(student=byte_level)
    assert found.encoded.lengths.tolist() == found.alignment.student.lengths.tolist()
    assert found.alignment.teacher.lengths.tolist() == TeacherCache(cached).tokens[found.cache_rows].tolist()
    assert found.teacher_encoded is None


def test_a_teacher_that_runs_beside_the_student_reads_its_own_tokens(dataset, byte_level, tokenizer):
    assert dataset(objectives={"scores": 1}).teacher_encoded is None
    found, alike = dataset(student=byte_level, objectives={"scores": 1}), dataset()
    assert all(map(np.array_equal, found.teacher_encoded.input_ids, alike.encoded.input_ids))
    # The same tokens, but only one of the models has types for them.
    untyped = copy.deepcopy(tokenizer)
    untyped.model_input_names = ["input_ids", "attention_mask"]
    found = dataset(student=untyped, objectives={"scores": 1})
    assert found.alignment is None
    assert found.teacher_encoded is not None


def test_a_cache_of_texts_cut_elsewhere_for_another_tokenizer(dataset, byte_level):
    """The teacher's own tokens are counted, of which the student may have more or fewer."""
    with pytest.raises(InputError, match=r"^teacher cache: .* has (9|10|11|12) tokens in it, and 8 with this max_le"):
        dataset(student=byte_level, max_length=8)


def emptied(folder, out):
    """The shards without their rows."""
    out.mkdir()
    for shard in folder.iterdir():
        pq.write_table(pq.read_table(shard).slice(0, 0), out / shard.name)
    return out


def test_texts_that_have_no_neighbours(dataset, augmented, tmp_path):
    found = dataset(augmented=emptied(augmented, tmp_path / "shards"))
    assert len(found) == 16
    assert not found.droppable.any()
    with pytest.raises(InputError, match=r"shards: no neighbours, and distill\.originals is \[\]; accepted: "):
        dataset(augmented=tmp_path / "shards", distill={"originals": []})


@pytest.mark.parametrize("numbers", [False, True])
def test_files_of_several_tasks_or_kinds(dataset, uneven, augmented, tmp_path, numbers):
    """Also without neighbours: the tokenizer would be given both."""
    shutil.copytree(uneven, tmp_path / "prepared")
    texts = read_texts(uneven / "source.parquet")
    changes = {"labels": texts.labels.astype(np.float32), "names": []} if numbers else {"pairs": texts.texts}
    write_texts(tmp_path / "prepared" / "source.parquet", replace(texts, **changes), "source")
    shards = emptied(augmented, tmp_path / "shards")
    distill = {"originals": ["source", "target"]}
    with pytest.raises(InputError, match=r"prepared: its files are of several tasks, or of pairs and single texts; "):
        dataset(prepared=tmp_path / "prepared", augmented=shards, distill=distill)
    assert len(dataset(prepared=tmp_path / "prepared", augmented=shards)) == 16


@pytest.fixture
def unlabelled(uneven, reviews, tmp_path):
    """Prepared texts with three that have no label."""
    folder = tmp_path / "unlabelled"
    shutil.copytree(uneven, folder)
    more = reviews(3, 9)
    texts = Texts(["u0", "u1", "u2"], more.texts, None, no_labels(3, more.names), more.names)
    write_texts(folder / "unlabelled.parquet", texts, "unlabelled")
    return folder


def test_what_the_selector_may_drop(dataset, unlabelled, make_params, augmented, tiny_classifier, tmp_path):
    """Neighbours, or all but the target's labelled texts; originals have no log P_s."""
    distill = {"originals": ["source", "target", "unlabelled"]}
    params = make_params(distill=distill, augment={"shards": 2})
    folders = {"prepared": unlabelled, "augmented": augmented}
    cache_teacher(params, **folders, teacher=tiny_classifier, out=tmp_path / "cache")
    folders["cache"] = tmp_path / "cache"
    assert dataset(**folders, distill=distill).droppable.tolist() == [True] * 96 + [False] * 67
    found = dataset(**folders, distill=distill, selector={"originals": True})
    assert found.domains[96:].to_pylist() == ["source"] * 48 + ["target"] * 16 + ["unlabelled"] * 3
    assert found.droppable.tolist() == [True] * 144 + [False] * 16 + [True] * 3
    assert (found.log_p[96:] == 0).all()
    rows = np.arange(160, 163)
    assert found.ids[160:].to_pylist() == ["u0", "u1", "u2"]
    assert found.labels[160:].tolist() == found.teacher_logits(rows).argmax(1).tolist()
    assert found.labels[96:160].tolist() == [
        label for name in ("source", "train") for label in read_texts(unlabelled / f"{name}.parquet").labels
    ]


def test_a_number_is_the_teacher_s_where_there_is_none(dataset, make_params, saved, tmp_path):
    numbers = np.array([0.5, 2.0], np.float32)
    write_texts(tmp_path / "train.parquet", Texts(["a", "b"], ["a film", "the joke"], None, numbers, []), "target")
    write_texts(tmp_path / "source.parquet", Texts([], [], None, numbers[:0], []), "source")
    write_texts(
        tmp_path / "unlabelled.parquet", Texts(["u"], ["a slow plot"], None, no_labels(1, []), []), "unlabelled"
    )
    complete(tmp_path)
    shards = tmp_path / "shards"
    shards.mkdir()
    columns = {"id": ["u-001"], "domain": ["unlabelled"], "text": ["a plot"], "text_pair": pa.nulls(1, pa.string())}
    columns |= {"label": pa.nulls(1, pa.float64()), "log_p": [-3.0]}
    pq.write_table(pa.table(columns), shards / "unlabelled-00000-of-00001.parquet")
    params = make_params(augment={"shards": 1}, distill={"originals": ["target", "unlabelled"]})
    teacher = saved(BertForSequenceClassification, num_labels=1, id2label={0: "LABEL_0"}, label2id={"LABEL_0": 0})
    cache_teacher(params, prepared=tmp_path, augmented=shards, teacher=teacher, out=tmp_path / "cache")
    found = dataset(prepared=tmp_path, augmented=shards, cache=tmp_path / "cache", task="regression")
    assert found.ids.to_pylist() == ["u-001", "a", "b", "u"]
    taught = found.teacher_logits(np.array([0, 3]))[:, 0].tolist()
    # 0.5 and 2 have the mean 1.25 and the deviation 0.75; the teacher answers in their unit.
    assert found.labels.tolist() == pytest.approx([taught[0], -1.0, 1.0, taught[1]])
    logits = found.cache.logits[found.cache_rows[[0, 3]], 0]
    assert taught == pytest.approx(((logits - 1.25) / 0.75).tolist(), abs=1e-6)
    assert found.droppable.tolist() == [True, False, False, False]


def test_a_source_class_that_the_target_does_not_have(dataset, uneven, augmented, cached, tmp_path):
    """It stands in for a label in the selector's state only: there it is what the teacher takes the text for."""
    table = read_augmented(augmented)
    labels = [
        "other" if domain == "source" else label
        for domain, label in zip(*[table[name].to_pylist() for name in ("domain", "label")], strict=True)
    ]
    changed = table.set_column(table.schema.get_field_index("label"), "label", pa.array(labels))
    pq.write_table(changed, tmp_path / "all-00000-of-00001.parquet")
    found, plain, cache = dataset(augmented=tmp_path), dataset(), TeacherCache(cached)
    source = [row for row, label in enumerate(labels) if label == "other"]
    guessed = cache.logits[cache.rows(found.ids.take(source))].argmax(1)
    assert len(source) == 48
    assert found.labels[source].tolist() == guessed.tolist()
    assert found.labels[48:].tolist() == plain.labels[48:].tolist()


def test_nothing_to_learn_from(dataset, tmp_path):
    with pytest.raises(InputError, match=r"no teacher cache; run the cache_teacher stage first"):
        dataset(cache=tmp_path)
    with pytest.raises(InputError, match=r"no shards; run the augment stage first"):
        dataset(augmented=tmp_path)


def test_pairs_and_numbers(dataset, make_params, saved, tmp_path):
    numbers, none = np.array([0.5, 2.0], np.float32), np.zeros(0, np.float32)
    texts = Texts(["a", "b"], ["a film", "the joke"], ["a plot", "is it good ?"], numbers, [])
    write_texts(tmp_path / "train.parquet", texts, "target")
    write_texts(tmp_path / "source.parquet", Texts([], [], None, none, []), "source")
    complete(tmp_path)
    shards = tmp_path / "shards"
    shards.mkdir()
    columns = {"id": ["a-001"], "domain": ["target"], "text": ["a joke"], "text_pair": ["a plot"], "label": [0.5]}
    pq.write_table(pa.table(columns | {"log_p": [-3.0]}), shards / "target-00000-of-00001.parquet")
    params = make_params(augment={"shards": 1})
    teacher = saved(BertForSequenceClassification, num_labels=1, id2label={0: "LABEL_0"}, label2id={"LABEL_0": 0})
    cache_teacher(params, prepared=tmp_path, augmented=shards, teacher=teacher, out=tmp_path / "cache")
    found = dataset(prepared=tmp_path, augmented=shards, cache=tmp_path / "cache", task="regression")
    assert found.ids.to_pylist() == ["a-001", "a", "b"]
    assert found.labels.tolist() == pytest.approx([-1.0, -1.0, 1.0])
    assert found.log_p.tolist() == [0.0, 0.0, 0.0]
    assert found.inputs(np.array([2]))["token_type_ids"].tolist() == [[0, 0, 0, 0, 1, 1, 1, 1, 1]]
    assert found.teacher_logits(np.array([0, 1, 2])).shape == (3, 1)


def edited(folder, out, column, values):
    """The shards with another column; `values` makes it of the old one's."""
    out.mkdir()
    for shard in folder.iterdir():
        table = pq.read_table(shard)
        if not len(table):
            continue
        new = pa.array(values(table[column].to_pylist()))
        table = table.set_column(table.column_names.index(column), column, new)
        pq.write_table(table.replace_schema_metadata(), out / shard.name)
    return out


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("text", lambda old: [None, *old[1:]], r"parquet, column 'text': 1 without a value; run the augment stage"),
        ("log_p", lambda old: ["likely"] * len(old), r"parquet, column 'log_p': got string; accepted: double; run the"),
        ("label", lambda old: [1.0] * len(old), r"shards: its labels are numbers, those of .* are classes; run the"),
        (
            "text_pair",
            lambda old: ["more"] * len(old),
            r"shards: its rows are pairs, those of .* are single texts; run",
        ),
        ("text_pair", lambda old: ["more", *old[1:]], r"shards: [0-9]+ of 96 rows have a second text; accepted: all"),
    ],
)
def test_shards_that_were_edited(dataset, augmented, tmp_path, column, values, said):
    with pytest.raises(InputError, match=said):
        dataset(augmented=edited(augmented, tmp_path / "shards", column, values))


def test_a_shard_of_another_task(dataset, augmented, tmp_path):
    shards = edited(augmented, tmp_path / "shards", "label", lambda old: old)
    edited(augmented, tmp_path / "numbers", "label", lambda old: [1.0] * len(old))
    first = min(shards.iterdir()).name
    shutil.copy(tmp_path / "numbers" / first, shards / first)
    with pytest.raises(
        InputError, match=r"parquet: column 'label' is not as in source-.*; run the augment stage again$"
    ):
        dataset(augmented=shards)
