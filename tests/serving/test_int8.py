"""int8 files: small, close to the model, with tables by row."""

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from pipeline.compute.batching import collate, encode
from pipeline.models.loading import load_classifier
from pipeline.serving.conversion import quiet_converters, to_onnx
from pipeline.serving.int8 import to_int8
from pipeline.serving.onnx_model import onnx_runner
from pipeline.serving.torch_model import torch_runner

TEXTS = ["the film is good .", "a very dull and cold plot , never funny", "it was time", "joke", "so so awful !"]


@pytest.fixture
def exported(tiny_classifier, tokenizer, tmp_path):
    """A model, its ONNX file, and examples; the second layer's values and outputs are nearly the identity."""
    model = load_classifier(tiny_classifier, "student")
    torch.manual_seed(0)
    for name, weights in model.named_parameters():
        if "layer.1.attention" in name and name.endswith(("value.weight", "output.dense.weight")):
            weights.data = torch.eye(len(weights)) + 0.01 * torch.randn(weights.shape)
    encoded = encode(tokenizer, TEXTS, None, 32)
    to_onnx(model, collate(encoded, [0, 1]), tmp_path / "model.onnx")
    return model, tmp_path / "model.onnx", [collate(encoded, [row]) for row in range(len(TEXTS))]


def test_int8_is_small_and_closer_than_without_examples(exported, tmp_path):
    model, file, examples = exported
    to_int8(file, tmp_path / "int8.onnx", examples)
    with quiet_converters():
        quantize_dynamic(
            file, tmp_path / "nearest.onnx", weight_type=QuantType.QInt8, per_channel=True, reduce_range=True
        )
    expected = np.concatenate([torch_runner(model, torch.device("cpu"))(example) for example in examples])
    errors = []
    for name in ("int8", "nearest"):
        run = onnx_runner(tmp_path / f"{name}.onnx")
        errors.append(np.abs(np.concatenate([run(example) for example in examples]) - expected).mean())
    assert 0 < errors[0] < 0.85 * errors[1]
    assert (tmp_path / "int8.onnx").stat().st_size < 1.2 * (tmp_path / "nearest.onnx").stat().st_size
    kinds = {each.name: each.data_type for each in onnx.load(tmp_path / "int8.onnx").graph.initializer}
    # Six products in each layer, the pooler and the head, and the tables of words, positions and segments.
    assert sum(kind == onnx.TensorProto.INT8 for kind in kinds.values()) >= 6 * model.config.num_hidden_layers + 5
    assert not any(
        kind == onnx.TensorProto.FLOAT and name.endswith("embeddings.weight") for name, kind in kinds.items()
    )


def test_each_row_of_a_table_has_its_scale(exported, tmp_path):
    model, file, examples = exported
    to_int8(file, tmp_path / "int8.onnx", examples)
    stored = {each.name: numpy_helper.to_array(each) for each in onnx.load(tmp_path / "int8.onnx").graph.initializer}
    name = "bert.embeddings.word_embeddings.weight"
    table = model.get_input_embeddings().weight.detach().numpy()
    scales = stored[f"{name}_scale"]
    assert scales.shape == (len(table), 1)
    assert np.all(np.abs(stored[f"{name}_quantized"] * scales - table) <= 0.501 * scales)
    used = np.abs(table).max(1) > 0
    np.testing.assert_array_equal(np.abs(stored[f"{name}_quantized"][used]).max(1), 127)
