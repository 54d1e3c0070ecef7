"""The room that a run takes, against what runs have left."""

import numpy as np
import pytest
from helpers.tiny_project import ROOT
from transformers import BertModel

from pipeline.data.prepare import prepare
from pipeline.data.texts import Texts, read_texts
from pipeline.models.loading import parameter_count
from pipeline.params.file import load
from pipeline.setup.disk import estimate

LEFT = {
    "data/prepared": 3_242_862,
    "data/augmented": 293_629,
    "data/teacher": 318_493,
    "models/teacher": 438_687_559,
    "models/generator": 91_703_271,
    "models/student": 70_281_755,
    "models/student_ft": 70_282_086,
    "models/onnx": 70_315_556,
    "models/int8": 18_260_236,
    "share/student": 70_283_740,
    "share/onnx": 96_934_024,
    "share/augmented": 296_141,
}
"""Bytes that a run of the embedded default has left."""
CHECKPOINTS = 517_477_723 + 280_746_164 + 208_715_447
"""Of teacher, student and Student-FT, in the work cache; two of them without weights of a best epoch."""


def no_texts():
    return Texts([], [], None, np.zeros(0, dtype=np.int64), ["negative", "positive"])


def size(folder):
    return sum(file.stat().st_size for file in folder.iterdir())


@pytest.mark.slow
def test_the_embedded_default(tmp_path):
    params = load(ROOT / "params.yaml")
    prepare(params, out=tmp_path / "prepared", metrics=tmp_path / "data.json")
    splits = ("source", "train", "teacher_source")
    source, train, teacher_source = (read_texts(tmp_path / f"prepared/{split}.parquet") for split in splits)
    needed = estimate(params, {"source": source, "target": train}, teacher_source)
    cached = needed.pop("work cache")
    assert needed.keys() == LEFT.keys()
    for name, left in LEFT.items():
        # Of few texts the headers of the 24 shards are the larger part.
        assert abs(needed[name] - left) < max(left / 5, 200_000), name
    beside = LEFT["data/augmented"] + LEFT["data/teacher"] + CHECKPOINTS
    assert beside / 1.2 < cached < 1.3 * beside


def test_a_tiny_run(sampled_params, uneven, cached):
    source, train = (read_texts(uneven / f"{split}.parquet") for split in ("source", "train"))
    needed = estimate(
        sampled_params.model_copy(
            update={"generator": sampled_params.generator.model_copy(update={"model": sampled_params.teacher.model})}
        ),
        {"source": source, "target": train},
        source,
    )
    # Tables of a few rows are mostly header.
    arrays = sum(file.stat().st_size for file in cached.glob("*.npy"))
    assert arrays / 1.2 < needed["data/teacher"] < 1.2 * arrays


@pytest.fixture
def needs(make_params, tiny_masked_lm, reviews):
    """What is needed for some reviews of the target and no source."""

    def tell(rows=16, **sections):
        params = make_params(generator={"model": str(tiny_masked_lm)}, **sections)
        return estimate(params, {"source": no_texts(), "target": reviews(rows)}, no_texts())

    return tell


def test_what_is_not_kept_takes_no_room(needs):
    all_of_it = needs(augment={"samples": {"source": 1, "target": 9}})
    off = {"objectives": {"attention": 0.0}, "cache": {"attention": False}}
    hidden = needs(augment={"samples": {"source": 1, "target": 9}}, **off)
    texts, width = 160, 32
    # Every review has 9 to 11 tokens, with those that begin and end it.
    assert 2 * width * texts * 9 < hidden["data/teacher"] < 2 * width * texts * 16
    assert hidden["data/teacher"] < all_of_it["data/teacher"]


def test_more_neighbours_and_rounds_take_more(needs):
    one, two = (needs(augment={"samples": {"source": 0, "target": number}}) for number in (3, 7))
    assert two["data/teacher"] == pytest.approx(2 * one["data/teacher"], abs=1)
    again = needs(augment={"samples": {"source": 0, "target": 3}}, rounds=2)
    assert again["data/augmented"] == 2 * one["data/augmented"]
    # One teacher serves all rounds, and the last one's student and neighbours are served and shared.
    for name in ("models/teacher", "models/onnx", "models/int8", "share/student", "share/onnx", "share/augmented"):
        assert again[name] == one[name], name


def test_validation_and_test_are_prepared_too(needs):
    def prepared(test):
        return needs(data={"target": {"path": "target.csv", "rows": 16, "validation": 84, "test": test}})[
            "data/prepared"
        ]

    assert prepared(300) == pytest.approx(2 * prepared(100), abs=1)


@pytest.mark.parametrize(
    "student",
    [
        {"layers": 2},
        {"init": "fresh", "layers": 2, "hidden": 12, "heads": 4},
        {"init": "encoder", "layers": 2, "model": "larger"},
        {"init": "pretrained", "layers": 2, "model": "larger"},
    ],
)
def test_the_weights_of_a_student(needs, student, make_params, saved):
    from pipeline.models.student import build_student

    if "model" in student:
        student = student | {"model": str(saved(BertModel, hidden_size=64, num_hidden_layers=5))}
    off = {"attention": 0.0, "hidden": 0.0}
    params = make_params(student=student, objectives=off)
    made = build_student(params, teacher=None, labels=["negative", "positive"], pairs=False)
    assert needs(student=student, objectives=off)["models/student"] == pytest.approx(
        4 * parameter_count(made), rel=1e-3
    )
