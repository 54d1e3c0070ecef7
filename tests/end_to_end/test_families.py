"""Every encoder family of transformers through the stages, tiny: it runs whole, or is refused in a line."""

from pathlib import Path

import numpy as np
import pytest
from helpers.families import FAMILIES, REFUSED, save_config, save_family
from helpers.prepared import complete

from pipeline.augment.augment import augment
from pipeline.augment.generator import prepare_generator
from pipeline.data.texts import Texts, write_texts
from pipeline.distill.cache_teacher import cache_teacher
from pipeline.distill.distill import distill_student
from pipeline.errors import InputError
from pipeline.models.families import NOT_CONVERTED
from pipeline.models.loading import load_classifier
from pipeline.params.schema import Params
from pipeline.serving.export import export
from pipeline.serving.predict import predict_rows
from pipeline.serving.runtime import open_folder
from pipeline.training.teacher import train_teacher

PREDICTIONS_ALONE = {"objectives": {"attention": 0, "hidden": 0}, "cache": {"attention": False, "hidden": False}}
"""What L2A has left where a family shows neither attention nor states."""
NO_ATTENTION = {"fnet", "funnel", "longformer", "mra", "reformer", "squeezebert", "yoso"}
NOT_CUT = {"esm", "esmc", "funnel"}
"""Families whose layers cannot be taken one by one."""
OTHER_STUDENT = {"init": "fresh", "layers": 2, "hidden": 32, "intermediate": 64, "heads": 4}


def save_texts(folder: Path, reviews, *, pairs: bool) -> None:
    for seed, (name, rows) in enumerate({"source": 8, "train": 8, "validation": 6, "test": 6}.items()):
        texts = reviews(rows, seed)
        second = [f"a {text}" for text in texts.texts] if pairs else None
        ids = [f"{name}-{row}" for row in range(rows)]
        split = Texts(ids, texts.texts, second, texts.labels, texts.names)
        write_texts(folder / f"{name}.parquet", split, "source" if name == "source" else "target")
    complete(folder)


def run(folder: Path, model: Path, **sections) -> None:
    """All stages up to a prediction of the student's int8 weights."""
    params = Params.model_validate(
        {
            "data": {"target": {"path": "target.csv", "rows": 8}},
            "max_length": 24,
            "teacher": {"model": str(model), "epochs": {"source": 1, "target": 1}, "batch_size": 8},
            "generator": {"model": str(model), "max_length": 24},
            "student": {"layers": 2},
            "augment": {"samples": {"source": 1, "target": 1}, "shards": 1},
            "distill": {"epochs": 1, "least_steps": 0, "batch_size": 8},
            "export": {"max_drop": 1.0},
            **sections,
        }
    )
    prepare_generator(params, out=folder / "generator", metrics=folder / "generator.json")
    teacher, augmented, cache, student = (folder / name for name in ("teacher", "augmented", "cache", "student"))
    train_teacher(params, prepared=folder, out=teacher, metrics=folder / "teacher.json")
    augment(params, prepared=folder, generator=folder / "generator", out=augmented)
    cache_teacher(params, prepared=folder, augmented=augmented, teacher=teacher, out=cache)
    distill_student(
        params,
        prepared=folder,
        augmented=augmented,
        cache=cache,
        teacher=teacher,
        out=student,
        selection=folder / "selection.parquet",
        projection_and_policy=folder / "projection_and_policy.safetensors",
        log=lambda step, metrics: None,
    )
    assert load_classifier(student, "student").config.num_hidden_layers == 2
    outs = {"onnx": folder / "onnx", "int8": folder / "int8"}
    metrics = folder / "serving.json"
    export(params, prepared=folder, teacher=teacher, student=student, augmented=[augmented], outs=outs, metrics=metrics)
    rows = [{"text": "the film is good", "text_pair": "a film"}, {"text": "a plot", "text_pair": "it was"}]
    if not (folder / "pairs").exists():
        rows = [{"text": row["text"]} for row in rows]
    predicted = list(predict_rows(open_folder(outs["int8"], "int8"), rows))
    assert all(np.isfinite(row["probability"]) for row in predicted)


def check(family: str, folder: Path, model: Path) -> None:
    """Run a family with all objectives of Eq. 1 or, if it is refused, with what the line accepts."""
    if family in NO_ATTENTION:
        with pytest.raises(InputError, match=rf"^teacher\.model: {family} models do not show their "):
            run(folder, model)
    if family in NOT_CUT:
        with pytest.raises(InputError, match=r"^student\.init: .* accepted: student\.init: pretrained, fresh or"):
            run(folder, model, **PREDICTIONS_ALONE)
        return
    if family in NOT_CONVERTED:
        with pytest.raises(
            InputError, match=rf"^student\.init: the student is a {family}, which cannot be converted to "
        ):
            run(folder, model, **PREDICTIONS_ALONE)
        assert not (folder / "teacher").exists()
        run(folder, model, student=OTHER_STUDENT, **PREDICTIONS_ALONE)
        return
    run(folder, model, **(PREDICTIONS_ALONE if family in NO_ATTENTION else {}))


@pytest.mark.usefixtures("work_cache")
@pytest.mark.parametrize("family", sorted(REFUSED))
def test_refused(family, tokenizer, reviews, make_params, tmp_path):
    save_texts(tmp_path, reviews, pairs=False)
    save_config(family, tokenizer, tmp_path / "model")
    params = make_params(teacher={"model": str(tmp_path / "model")})
    with pytest.raises(InputError, match=r"^teacher\.model: .* accepted: (an encoder|another family)"):
        train_teacher(params, prepared=tmp_path, out=tmp_path / "teacher", metrics=tmp_path / "teacher.json")


@pytest.mark.slow
@pytest.mark.usefixtures("work_cache")
@pytest.mark.parametrize("pairs", [False, True], ids=["single", "pairs"])
@pytest.mark.parametrize("family", sorted(set(FAMILIES) - REFUSED))
def test_served(family, pairs, tokenizer, reviews, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.serving.timing.ROUNDS", 10)
    save_texts(tmp_path, reviews, pairs=pairs)
    if pairs:
        (tmp_path / "pairs").touch()
    save_family(family, tokenizer, tmp_path / "model")
    check(family, tmp_path, tmp_path / "model")


@pytest.mark.slow
@pytest.mark.usefixtures("work_cache")
@pytest.mark.parametrize(
    "student", [{"layers": 2}, {"init": "encoder", "layers": 2, "pooling": "mean"}, OTHER_STUDENT],
    ids=["teacher", "encoder", "fresh"],
)  # fmt: skip
def test_pairs_of_which_each_text_is_encoded_by_itself(student, tiny_masked_lm, reviews, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.serving.timing.ROUNDS", 10)
    save_texts(tmp_path, reviews, pairs=True)
    (tmp_path / "pairs").touch()
    target = {"path": "target.csv", "rows": 8, "columns": {"text_pair": "text_pair"}}
    run(tmp_path, tiny_masked_lm, pairs="each", data={"target": target}, student=student)
    for name in ("teacher", "student"):
        model = load_classifier(tmp_path / name, name)
        assert model.config.model_type == "l2a_pairs"
        assert all(weight.isfinite().all() for weight in model.parameters())
