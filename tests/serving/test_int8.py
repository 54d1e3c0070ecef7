"""int8 files: small, close to the model, with tables by row."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from pipeline.compute.batching import collate, encode
from pipeline.models.loading import load_classifier
from pipeline.serving.conversion import quiet_converters, to_onnx
from pipeline.serving.int8 import to_int8
from pipeline.serving.onnx_model import onnx_runner, open_session
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
    scales = stored[f"{name}_row_scale"]
    assert scales.shape == (len(table), 1)
    assert np.all(np.abs(stored[f"{name}_by_row"] * scales - table) <= 0.501 * scales)
    used = np.abs(table).max(1) > 0
    np.testing.assert_array_equal(np.abs(stored[f"{name}_by_row"][used]).max(1), 127)


WIDTH = 20


def graph(*nodes, **stored):
    """A model of rows (texts, tokens) of numbers below `WIDTH` and of vectors `x`, with float32 weights by name."""
    value = [
        helper.make_tensor_value_info("rows", TensorProto.INT64, ["texts", "tokens"]),
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["vectors", WIDTH]),
    ]
    outs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    weights = [numpy_helper.from_array(each.astype(np.float32), name) for name, each in stored.items()]
    made = helper.make_graph(list(nodes), "graph", value, outs, weights)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


RNG = np.random.default_rng(5)
TABLE, MATRIX = RNG.normal(size=(2, WIDTH, WIDTH))
GRAPHS = {
    "a product of a table's rows": graph(
        helper.make_node("Gather", ["table", "rows"], ["e"]),
        helper.make_node("MatMul", ["e", "matrix"], ["y"]),
        table=TABLE,
        matrix=MATRIX,
    ),
    "a table that is multiplied, too": graph(
        helper.make_node("Gather", ["table", "rows"], ["e"]),
        helper.make_node("MatMul", ["e", "table"], ["y"]),
        table=TABLE,
    ),
    "columns of a table": graph(helper.make_node("Gather", ["table", "rows"], ["y"], axis=1), table=TABLE),
    "products of an input and of its transpose": graph(
        helper.make_node("MatMul", ["x", "matrix"], ["a"]),
        helper.make_node("Transpose", ["x"], ["t"]),
        helper.make_node("Transpose", ["t"], ["u"]),
        helper.make_node("MatMul", ["u", "table"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["y"]),
        table=TABLE,
        matrix=MATRIX,
    ),
    "no product": graph(helper.make_node("Gather", ["table", "rows"], ["y"]), table=TABLE),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_of_any_kind_are_near_what_they_were(name, tmp_path):
    onnx.save(GRAPHS[name], tmp_path / "model.onnx")
    inputs = {"rows": RNG.integers(0, WIDTH, (3, 4)), "x": RNG.normal(size=(9, WIDTH)).astype(np.float32)}
    to_int8(tmp_path / "model.onnx", tmp_path / "int8.onnx", [inputs])
    expected, found = (open_session(tmp_path / f"{each}.onnx").run(None, inputs)[0] for each in ("model", "int8"))
    assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()


def test_without_examples_weights_are_rounded_to_the_nearest(tmp_path):
    onnx.save(GRAPHS["a product of a table's rows"], tmp_path / "model.onnx")
    to_int8(tmp_path / "model.onnx", tmp_path / "int8.onnx", [])
    stored = {each.name: numpy_helper.to_array(each) for each in onnx.load(tmp_path / "int8.onnx").graph.initializer}
    np.testing.assert_array_equal(stored["matrix_quantized"], np.rint(MATRIX / stored["matrix_scale"]))
