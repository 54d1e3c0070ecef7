"""What a script reads and what it writes."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.peers import protocol, tfidf
from benchmarks.peers.protocol import Task, Texts


@pytest.fixture
def task(tmp_path):
    return Task(tmp_path, tmp_path, tmp_path, tmp_path, "minilm", 1, tmp_path)


def test_texts_with_and_without_labels(task):
    columns = {"id": ["a", "b"], "text": ["x", "y"], "text_pair": pa.nulls(2, pa.string())}
    pq.write_table(pa.table({**columns, "label": ["good", "bad"]}), task.prepared / "test.parquet")
    pq.write_table(pa.table({**columns, "label": pa.nulls(2, pa.string())}), task.prepared / "unlabelled.parquet")
    pq.write_table(pa.table(columns), task.prepared / "other.parquet")
    assert protocol.read(task, "test") == Texts(["x", "y"], ["good", "bad"])
    assert protocol.read(task, "unlabelled") == protocol.read(task, "other") == Texts(["x", "y"], [])
    assert protocol.read(task, "missing") == Texts([], [])


def test_labels_fit_if_the_target_has_their_classes():
    target = Texts(["x", "y"], ["good", "bad"])
    assert Texts(["z"], ["bad"]).fits(target)
    assert not Texts(["z"], ["middling"]).fits(target)
    assert not Texts(["z"], []).fits(target)


def test_a_row_has_the_predictions_and_both_times(task, monkeypatch):
    count = 3 * protocol.SINGLES
    pq.write_table(pa.table({"text": [str(i) for i in range(count)]}), task.prepared / "test.parquet")
    clock, sizes = [0.0], []
    monkeypatch.setattr(protocol.time, "perf_counter", lambda: clock[0])

    def predict(texts):
        sizes.append(len(texts))
        clock[0] += 0.004 + 0.001 * len(texts)
        return texts

    protocol.write_row(task, "some", predict, parameters=7, size=2_500_000, seconds=90)
    row = json.loads((task.out / "some.json").read_text())
    assert row.pop("predicted") == [str(i) for i in range(count)]
    assert row == pytest.approx(
        {"parameters": 7, "megabytes": 2.5, "ms_alone": 5.0, "ms_bulk": 1 + 4 / count, "minutes": 1.5}
    )
    assert sizes == [1, *[1] * protocol.SINGLES, count]


def test_sentences_have_the_label_of_their_review():
    reviews = Texts(["A fine film. So very well made!<br /><br />Go see it now", "Dull."], ["good", "bad"])
    assert tfidf.sentences(reviews) == Texts(["A fine film.", "So very well made!", "Go see it now"], ["good"] * 3)
