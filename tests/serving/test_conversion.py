"""ONNX files compared with the models they were converted from."""

import hashlib

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from helpers.families import tiny_family_config
from transformers import BertForSequenceClassification, RobertaConfig, RobertaForSequenceClassification

from pipeline.compute.batching import collate, encode
from pipeline.errors import InputError
from pipeline.models.bilstm import BiLSTMConfig, BiLSTMForSequenceClassification
from pipeline.models.families import NOT_CONVERTED
from pipeline.models.layers import new_classifier
from pipeline.models.loading import load_classifier
from pipeline.serving.conversion import to_onnx
from pipeline.serving.int8 import to_int8
from pipeline.serving.onnx_model import onnx_runner
from pipeline.serving.torch_model import torch_runner

CPU = torch.device("cpu")
TEXTS = ["the film is good .", "a very dull and cold plot , never funny", "it was time", "joke", "so so awful !"]
PAIRS = ["it was great .", "the cast", "that scene is slow but warm", "a movie", "this"]


def batch(tokenizer, texts, pairs=None):
    return collate(encode(tokenizer, texts, pairs, 32), range(len(texts)))


@pytest.mark.parametrize("pairs", [None, PAIRS])
def test_any_number_of_texts_of_any_length_has_the_same_logits(tiny_classifier, tokenizer, tmp_path, pairs):
    model = load_classifier(tiny_classifier, "student")
    to_onnx(model, batch(tokenizer, TEXTS[:2], pairs and pairs[:2]), tmp_path / "model.onnx")
    run, expected = onnx_runner(tmp_path / "model.onnx"), torch_runner(model, CPU)
    for rows in ([0], [1, 2, 3], [4, 0]):
        inputs = batch(tokenizer, [TEXTS[row] for row in rows], pairs and [pairs[row] for row in rows])
        np.testing.assert_allclose(run(inputs), expected(inputs), atol=1e-5)


def test_sums_stay_apart_from_layer_normalisation(tiny_classifier, tokenizer, tmp_path):
    model = load_classifier(tiny_classifier, "student")
    to_onnx(model, batch(tokenizer, TEXTS[:2]), tmp_path / "model.onnx")
    to_int8(tmp_path / "model.onnx", tmp_path / "int8.onnx", [batch(tokenizer, TEXTS[:1])])
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    for file in ("model.onnx", "int8.onnx"):
        onnxruntime.InferenceSession(tmp_path / file, options, providers=["CPUExecutionProvider"])
        operations = {node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node}
        assert "LayerNormalization" in operations
        assert "SkipLayerNormalization" not in operations


@pytest.mark.slow
@pytest.mark.parametrize("pairs", [None, PAIRS])
def test_a_bilstm_too(tokenizer, tmp_path, pairs):
    torch.manual_seed(0)
    config = BiLSTMConfig(
        len(tokenizer), 12, 8, 6, pairs=pairs is not None, sep_token_id=tokenizer.sep_token_id, num_labels=3
    )
    model = BiLSTMForSequenceClassification(config)
    to_onnx(model, batch(tokenizer, TEXTS[:2], pairs and pairs[:2]), tmp_path / "model.onnx")
    run, expected = onnx_runner(tmp_path / "model.onnx"), torch_runner(model, CPU)
    for rows in ([3], [0, 1, 2, 3, 4]):
        inputs = batch(tokenizer, [TEXTS[row] for row in rows], pairs and [pairs[row] for row in rows])
        np.testing.assert_allclose(run(inputs), expected(inputs), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("pairs", [None, PAIRS])
def test_a_model_that_numbers_positions_from_the_padding_token(byte_level, tmp_path, pairs):
    torch.manual_seed(0)
    sizes = {"num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4}
    sizes |= {"vocab_size": len(byte_level), "max_position_embeddings": 66}
    model = RobertaForSequenceClassification(RobertaConfig(**sizes, pad_token_id=byte_level.pad_token_id))
    to_onnx(model, batch(byte_level, TEXTS[:2], pairs and pairs[:2]), tmp_path / "model.onnx")
    to_int8(tmp_path / "model.onnx", tmp_path / "int8.onnx", [batch(byte_level, TEXTS[:1], pairs and pairs[:1])])
    inputs = batch(byte_level, TEXTS, pairs)
    expected = torch_runner(model, CPU)(inputs)
    np.testing.assert_allclose(onnx_runner(tmp_path / "model.onnx")(inputs), expected, atol=1e-5)
    np.testing.assert_allclose(onnx_runner(tmp_path / "int8.onnx")(inputs), expected, atol=0.05)


class Undecided(BertForSequenceClassification):
    def forward(self, input_ids, attention_mask):
        return super().forward(input_ids if input_ids.sum() > 3 else input_ids + 1, attention_mask)


def test_what_torch_cannot_follow_is_one_line(tiny_classifier, tokenizer, tmp_path):
    model = Undecided.from_pretrained(tiny_classifier).eval()
    with pytest.raises(InputError) as caught:
        to_onnx(model, batch(tokenizer, TEXTS[:2]), tmp_path / "model.onnx")
    line = str(caught.value)
    assert line.startswith("student: a bert cannot be converted to ONNX (")
    assert line.endswith("; accepted: another family")
    assert "\n" not in line
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("family", sorted(NOT_CONVERTED))
def test_families_that_are_refused_cannot_be_converted(family, tokenizer, tmp_path):
    model = new_classifier(tiny_family_config(family, tokenizer))
    with pytest.raises(InputError, match=f"^student: a {family} cannot be converted to ONNX "):
        to_onnx(model, batch(tokenizer, TEXTS[:2]), tmp_path / "model.onnx")


@pytest.mark.slow
def test_the_same_weights_give_the_same_bytes_without_local_paths(tiny_classifier, tokenizer, tmp_path):
    hashes = []
    for name in ("one", "two"):
        model = load_classifier(tiny_classifier, "student")
        to_onnx(model, batch(tokenizer, TEXTS[:2]), tmp_path / f"{name}.onnx")
        to_int8(tmp_path / f"{name}.onnx", tmp_path / f"{name}-int8.onnx", [batch(tokenizer, TEXTS[:1])])
        contents = [(tmp_path / f"{name}{end}.onnx").read_bytes() for end in ("", "-int8")]
        assert all(b".py" not in each and str(tmp_path).encode() not in each for each in contents)
        hashes.append([hashlib.sha256(each).hexdigest() for each in contents])
    assert hashes[0] == hashes[1]
    assert {path.name for path in tmp_path.iterdir()} == {"one.onnx", "one-int8.onnx", "two.onnx", "two-int8.onnx"}
