"""Sums before a layer normalisation: what onnxruntime makes of them, and that the numbers stay the same."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from pipeline.serving.norms import keep_apart

WIDTH = 16


def model(*, other: list[int | str]) -> onnx.ModelProto:
    """Two sums, each normalised; the second adds a constant of shape `other`, or the first's result."""
    rng = np.random.default_rng(0)
    constants = {"scale": (WIDTH,), "shift": (WIDTH,), "other": other}
    initializers = [
        numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name) for name, shape in constants.items()
    ]
    nodes = [
        helper.make_node("Add", ["x", "y"], ["first"], name="first"),
        helper.make_node("LayerNormalization", ["first", "scale", "shift"], ["normal"]),
        helper.make_node("Add", ["normal", "other"], ["second"], name="second"),
        helper.make_node("LayerNormalization", ["second", "scale", "shift"], ["z"]),
    ]
    x, y, z = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["texts", "tokens", WIDTH]) for name in ("x", "y", "z")
    )
    graph = helper.make_graph(nodes, "norms", [x, y], [z], initializers)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(made, full_check=True)
    return made


def run(made: onnx.ModelProto, folder) -> tuple[np.ndarray, list[str]]:
    """The model's result, and the operations that onnxruntime makes of it."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    session = onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(1)
    values = {name: rng.normal(size=(2, 3, WIDTH)).astype(np.float32) for name in ("x", "y")}
    operations = [node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node]
    return session.run(["z"], values)[0], operations


@pytest.mark.parametrize("other", [[WIDTH], [1, 1, WIDTH], [2, 3, WIDTH]])
def test_sums_stay_by_themselves_and_the_numbers_the_same(tmp_path, other):
    before, fused = run(model(other=other), tmp_path)
    made = model(other=other)
    keep_apart(made)
    onnx.checker.check_model(made, full_check=True)
    after, operations = run(made, tmp_path)
    # Otherwise there would be nothing to do.
    assert "SkipLayerNormalization" in fused
    assert "SkipLayerNormalization" not in operations
    assert operations.count("LayerNormalization") == 2
    np.testing.assert_allclose(after, before, atol=1e-5)


def test_a_model_without_such_sums_stays_as_it_is():
    made = model(other=[WIDTH])
    for node in made.graph.node:
        node.op_type = {"Add": "Mul"}.get(node.op_type, node.op_type)
    before = made.SerializeToString()
    keep_apart(made)
    assert made.SerializeToString() == before
