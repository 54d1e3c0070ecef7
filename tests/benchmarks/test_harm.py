"""The bench of planted harm on tiny models: what is planted, what is taught, and the table."""

import json
import re

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.harm import bench, plant
from pipeline.augment.shards import read_augmented
from pipeline.distill.dataset import read_dataset
from pipeline.errors import InputError

FIT = {"epochs": 1, "batch_size": 16, "learning_rate": 0.002}


@pytest.fixture(autouse=True)
def few_docstrings(monkeypatch, work_cache):
    """Those of a small package, in an empty work cache."""
    monkeypatch.setattr(plant, "PACKAGES", ("joblib",))


@pytest.fixture
def params(make_params):
    student = {"init": "fresh", "hidden": 16, "intermediate": 32, "heads": 4}
    objectives = {"attention": 0, "hidden": 0}
    return make_params(
        student=student, distill=FIT, objectives=objectives, selector={"every": 3}, augment={"shards": 2}
    )


@pytest.fixture
def seed_folder(params, uneven, augmented, tiny_classifier, tmp_path):
    """Texts, teacher and neighbours, as if made before."""
    (tmp_path / "params.json").write_text(json.dumps(params.model_dump(mode="json", exclude={"selector"})))
    for name, target in (("prepared", uneven), ("teacher", tiny_classifier), ("augmented", augmented)):
        (tmp_path / name).symlink_to(target)
    return tmp_path


@pytest.mark.parametrize("kind", ["topic", "scrambled", "language"])
def test_a_share_of_the_texts_is_replaced_and_nothing_else(augmented, tmp_path, kind):
    planted = plant.plant(augmented, tmp_path / "out", kind, 0.3, seed=1)
    before, after = read_augmented(augmented), read_augmented(tmp_path / "out")
    assert after.drop_columns("text").equals(before.drop_columns("text"))
    texts = dict(zip(before["id"].to_pylist(), before["text"].to_pylist(), strict=True))
    changed = {
        id_: text
        for id_, text in zip(after["id"].to_pylist(), after["text"].to_pylist(), strict=True)
        if text != texts[id_]
    }
    assert set(changed) <= set(planted)
    assert 0.15 < len(changed) / len(texts) < 0.45
    words = {word for text in texts.values() for word in text.split()}
    sentences = plant.docstrings()
    for id_, text in changed.items():
        if kind == "scrambled":
            assert set(text.split()) <= words
        if kind == "language":
            assert len(text.split()) == len(texts[id_].split())
        if kind == "topic":
            assert text in sentences
    assert plant.plant(augmented, tmp_path / "again", kind, 0.3, seed=1) == planted
    assert read_augmented(tmp_path / "again").equals(after)


def test_docstrings_are_sentences_of_a_few_words():
    found = plant.docstrings()
    assert len(found) > 50
    assert found == sorted(set(found))
    assert not any(re.search("[A-Z>=_]", text) for text in found)


def test_answers_are_turned_round(params, uneven, augmented, cached, tokenizer):
    folders = {"prepared": uneven, "augmented": augmented, "cache": cached}
    dataset = read_dataset(params, **folders, tokenizer=tokenizer, teacher_tokenizer=tokenizer)
    everything = np.arange(len(dataset))
    before = dataset.teacher_logits(everything).numpy().copy()
    flipped = plant.flip(dataset, 0.5, seed=1)
    after = dataset.teacher_logits(everything).numpy()
    assert 0 < flipped.sum() < dataset.droppable.sum()
    assert not flipped[~dataset.droppable].any()
    assert np.array_equal(after[flipped], before[flipped][:, ::-1])
    assert np.array_equal(after[~flipped], before[~flipped])


@pytest.mark.parametrize("kind", ["flipped", "language", "clean"])
def test_students_are_trained_and_measured(params, seed_folder, kind, monkeypatch):
    monkeypatch.setattr(bench, "MADE", seed_folder.parent)
    everything, selector = (bench.train(params, seed_folder, kind, arm, 0.4) for arm in ("everything", "selector"))
    assert everything["rest kept"] == 1.0
    assert ("harm kept" in selector) == (kind != "clean")
    assert 0 < selector["rest kept"] < 1.0
    if kind != "clean":
        without = bench.train(params, seed_folder, kind, "without harm", 0.4)
        assert "harm kept" not in without
        assert 0 <= without["accuracy"] <= 1


def test_what_was_made_with_other_params_is_made_anew(params, seed_folder, monkeypatch):
    def stop(*_given, **_names):
        raise InputError("made anew")

    monkeypatch.setattr("pipeline.data.prepare.prepare", stop)
    bench.make(params, seed_folder, "clean", 0.4)
    with pytest.raises(InputError, match="made anew"):
        bench.make(params.model_copy(update={"alpha": 0.9}), seed_folder, "clean", 0.4)
    assert [file.name for file in seed_folder.iterdir()] == ["params.json"]


@pytest.mark.parametrize(
    ("kind", "arm", "line"),
    [
        ("flippd", None, "kind: got flippd; accepted: flipped, topic, scrambled, language, clean\n"),
        ("clean", "without harm", "--arm: got without harm; accepted: everything, selector, paper\n"),
    ],
)
def test_a_mistyped_name_is_one_line(kind, arm, line):
    result = CliRunner().invoke(bench.app, ["measure", kind, "1", *(["--arm", arm] if arm else [])])
    assert result.exit_code == 1
    assert result.stderr == line


def test_measuring_adds_to_what_was_measured(monkeypatch, tmp_path):
    monkeypatch.setattr(bench, "RESULTS", tmp_path)
    figures = {"accuracy": 0.7, "rest kept": 0.9, "harm kept": 0.2, "seconds": 1.0}
    monkeypatch.setattr(bench, "train", lambda *_given: figures)
    bench.measure("flipped", 2, arm=["selector"])
    bench.measure("flipped", 2, arm=["everything"])
    written = json.loads((tmp_path / "flipped-2.json").read_text())
    assert list(written["arms"]) == ["everything", "selector"]
    assert written["arms"]["selector"] == figures
    monkeypatch.setattr(bench, "SHARE", 0.1)
    bench.measure("flipped", 2, arm=["everything"])
    assert list(json.loads((tmp_path / "flipped-2.json").read_text())["arms"]) == ["everything"]
    bench.measure("clean", 2)
    assert "without harm" not in json.loads((tmp_path / "clean-2.json").read_text())["arms"]


def test_the_table_has_a_line_for_each_kind_and_seed():
    arms = {"everything": {"accuracy": 0.6}, "selector": {"accuracy": 0.65, "harm kept": 0.2, "rest kept": 0.94}}
    lines = bench.markdown({"clean-1": {"selector": {"accuracy": 0.7, "rest kept": 0.9}}, "flipped-1": arms}).split(
        "\n"
    )
    assert lines[2] == "| flipped | 1 | 0.6000 | 0.6500 |  |  | +0.0500 | 0.20 | 0.94 |"
    assert lines[3] == "| clean | 1 |  | 0.7000 |  |  |  |  | 0.90 |"
    assert len({line.count("|") for line in lines}) == 1


def test_the_bench_s_params_are_the_default_made_smaller():
    params = bench.bench_params(3)
    assert params.seed == 3
    assert (params.data.source.rows, params.augment.samples.source, params.augment.samples.target) == (1500, 1, 10)
    assert params.objectives.active() == ["dark"]
