"""Neighbours in numbers."""

import numpy as np
import pandas as pd
import pytest
from helpers.hand_made import neighbour, undecided, write_shard
from helpers.prepared import complete
from transformers import BertForSequenceClassification

from pipeline.augment.distance import log_p_distance
from pipeline.data.texts import Texts, read_texts, write_texts
from pipeline.distill.cache_teacher import cache_teacher
from pipeline.errors import InputError
from pipeline.evaluation.predicting import predict
from pipeline.inspect.query import ArtifactPaths, Filter
from pipeline.inspect.summary import summarise
from pipeline.models.loading import load_classifier, load_tokenizer


def test_domains_distinct_texts_distances_and_replacements_are_counted(tmp_path):
    two = {"distance": 2, "old_words": ["a", "good"], "new_words": ["the", "bad"]}
    rows = [
        neighbour("t0-001"),
        neighbour("t0-002"),
        neighbour("t0-003", text="the bad film", **two),
        neighbour("s0-001", "so good", "so bad", domain="source", length=2),
    ]
    counted = summarise(
        ArtifactPaths(write_shard(tmp_path / "augmented", rows, count="vocabulary_free"), tmp_path), Filter()
    )
    assert counted["neighbours"] == {"source": 1, "target": 3}
    assert (counted["originals"], counted["distinct"]) == (2, 0.75)
    assert counted["replacements"] == [["good", "bad", 4], ["a", "the", 1]]
    # Three words: C(3,d)·e^−d for d = 1, 2, 3, thrice; two words: C(2,d)·e^−d, once.
    e = np.exp(-1.0)
    three, two_ = np.array([3 * e, 3 * e**2, e**3]), np.array([2 * e, e**2, 0])
    expected = 3 * three / three.sum() + two_ / two_.sum()
    assert [row["drawn"] for row in counted["distances"]] == [3, 1]
    assert [row["expected"] for row in counted["distances"]] == expected[:2].round(1).tolist()
    assert counted["teacher"] is None


def test_what_is_expected_needs_the_generators_vocabulary(augmented, uneven, tiny_masked_lm, tokenizer):
    without = summarise(ArtifactPaths(augmented, uneven), Filter())["distances"]
    assert {row["expected"] for row in without} == {None}
    counted = summarise(ArtifactPaths(augmented, uneven, generator=tiny_masked_lm), Filter(domain="target"))
    assert counted["neighbours"] == {"target": 48}
    table = pd.concat([pd.read_parquet(file) for file in augmented.glob("target*")])
    for row in counted["distances"]:
        probs = [
            np.exp(log_p_distance(m, alpha=1.0, vocabulary=len(tokenizer), count="rescaled", min_distance=1))
            for m in table["length"]
        ]
        expected = sum(p[row["distance"]] for p in probs if len(p) > row["distance"])
        assert row["drawn"] == (table["distance"] == row["distance"]).sum()
        assert row["expected"] == round(expected, 1)


def test_changes_of_the_teachers_prediction(augmented, uneven, sampled_params, tiny_classifier, tmp_path):
    table = pd.concat([pd.read_parquet(file) for file in augmented.glob("target*")])
    teacher = undecided(tiny_classifier, table["text"].tolist(), tmp_path / "teacher")
    cached = tmp_path / "cache"
    cache_teacher(sampled_params, prepared=uneven, augmented=augmented, teacher=teacher, out=cached)
    model, tokenizer = (load(teacher, "t") for load in (load_classifier, load_tokenizer))
    names = read_texts(uneven / "train.parquet").names
    given = [
        predict(model, tokenizer, Texts([], table[column].tolist(), None, np.zeros(48), names), 16).argmax(1)
        for column in ("text", "original_text")
    ]
    counted = summarise(ArtifactPaths(augmented, uneven, cache=cached), Filter())
    # The originals of source texts are not in its cache.
    assert counted["teacher"] == {"neighbours": 48, "another_class": round(float((given[0] != given[1]).mean()), 4)}
    assert 0 < counted["teacher"]["another_class"] < 1
    assert summarise(ArtifactPaths(augmented, uneven, cache=cached), Filter(domain="source"))["teacher"] is None


def test_numbers_move(saved, tmp_path, make_params):
    teacher = saved(BertForSequenceClassification, num_labels=1, problem_type="regression")
    texts = Texts(["t0"], ["a good film"], None, np.array([2.5], dtype=np.float32), [])
    for name in ("source", "train"):
        write_texts(tmp_path / f"{name}.parquet", texts, "target")
    complete(tmp_path)
    shards = write_shard(tmp_path / "augmented", [neighbour(label=2.5)], task="regression")
    params = make_params(task="regression", distill={"originals": ["target"]})
    cache_teacher(params, prepared=tmp_path, augmented=shards, teacher=teacher, out=tmp_path / "cache")
    model, tokenizer = (load(teacher, "t") for load in (load_classifier, load_tokenizer))
    both = Texts([], ["a good film", "a bad film"], None, np.zeros(2), [])
    before, after = predict(model, tokenizer, both, 16)[:, 0]
    counted = summarise(ArtifactPaths(shards, tmp_path, cache=tmp_path / "cache"), Filter())
    assert counted["teacher"]["neighbours"] == 1
    assert counted["teacher"]["moved_by"] == pytest.approx(abs(after - before), abs=1e-4)
    assert counted["teacher"]["moved_by"] > 0


def test_other_augmentations_have_no_distances(tmp_path):
    nothing = {"distance": None, "log_p": None, "positions": [], "old_words": [], "new_words": []}
    shards = write_shard(tmp_path / "augmented", [neighbour(**nothing)], method="eda")
    counted = summarise(ArtifactPaths(shards, tmp_path), Filter())
    assert (counted["distances"], counted["replacements"], counted["neighbours"]) == ([], [], {"target": 1})


def test_what_cannot_be_counted_is_one_line(augmented, uneven, tmp_path):
    with pytest.raises(InputError, match="no neighbours that match --distance 40"):
        summarise(ArtifactPaths(augmented, uneven), Filter(distance=40))
    with pytest.raises(InputError, match=r"tokenizer\.json: no tokenizer"):
        summarise(ArtifactPaths(augmented, uneven, generator=tmp_path), Filter())
