"""The ONNX folder in the four lines that everybody writes: its own tokenizer, and a session."""

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
from helpers.families import tiny_family_config
from helpers.prepared import complete
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from pipeline.data.texts import read_texts, write_texts
from pipeline.models.loading import quiet
from pipeline.serving.export import export
from pipeline.serving.runtime import open_folder

TEXTS = ["the film is good", "a joke"]


@pytest.mark.slow
@pytest.mark.parametrize("pairs", [False, True], ids=["single", "pairs"])
@pytest.mark.parametrize("family", ["bert", "mpnet"])
def test_tokenizer_and_session_agree(family, pairs, tokenizer, uneven, augmented, make_params, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.serving.timing.ROUNDS", 10)
    model, prepared = tmp_path / "model", tmp_path / "prepared"
    prepared.mkdir()
    for name in ("source", "train", "validation", "test"):
        texts = read_texts(uneven / f"{name}.parquet")
        second = [f"a {text}" for text in texts.texts] if pairs else None
        write_texts(prepared / f"{name}.parquet", replace(texts, pairs=second), "target")
    complete(prepared)
    config = tiny_family_config(family, tokenizer)
    config.id2label, config.label2id = {0: "negative", 1: "positive"}, {"negative": 0, "positive": 1}
    with quiet():
        AutoModelForSequenceClassification.from_config(config).save_pretrained(model)
        # It gives token types whatever the model.
        tokenizer.save_pretrained(model)
    outs = {"onnx": tmp_path / "onnx", "int8": tmp_path / "int8"}
    export(
        make_params(export={"max_drop": 1.0}),
        prepared=prepared,
        teacher=model,
        student=model,
        augmented=[augmented],
        outs=outs,
        metrics=tmp_path / "serving.json",
    )
    second = TEXTS[::-1] if pairs else None
    for folder in outs.values():
        own = AutoTokenizer.from_pretrained(folder)
        session = onnxruntime.InferenceSession(folder / "model.onnx")
        for text, other in zip(TEXTS, second or [None, None], strict=True):
            (logits,) = session.run(None, dict(own(text, other, return_tensors="np")))
            served = open_folder(folder, "x").outputs([text], [other] if pairs else None)
            np.testing.assert_allclose(logits, served, atol=1e-5)
        inputs = {each.name for each in session.get_inputs()}
        assert inputs == set(own.model_input_names)
        assert ("token_type_ids" in inputs) == (pairs and tiny_types(config))


def tiny_types(config):
    return (getattr(config, "type_vocab_size", None) or 0) > 1
