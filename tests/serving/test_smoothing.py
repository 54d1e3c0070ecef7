"""Inputs that are divided: where one of them is an outlier, and without a change of what the model computes."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from pipeline.serving.layer_inputs import layer_inputs, products
from pipeline.serving.smoothing import smooth, smoothing_factors

WIDTH = 8


def model(shared=False):
    """Two products of the input, one of them of the other's result, too; or the same weights in both."""
    rng = np.random.default_rng(0)
    weights = {name: rng.normal(size=(WIDTH, WIDTH)).astype(np.float32) for name in ("a", "b", "c")}
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["xa"]),
        helper.make_node("MatMul", ["x", "a" if shared else "b"], ["xb"]),
        helper.make_node("Mul", ["xa", "xb"], ["product"]),
        helper.make_node("MatMul", ["product", "c"], ["y"]),
    ]
    value = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["texts", WIDTH]) for name in ("x", "y")}
    stored = [numpy_helper.from_array(each, name) for name, each in weights.items()]
    graph = helper.make_graph(nodes, "graph", [value["x"]], [value["y"]], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def inputs(outlier=1.0):
    values = np.random.default_rng(1).normal(size=(20, WIDTH)).astype(np.float32)
    values[:, 3] *= outlier
    return {"x": values}


def test_what_products_take_in_is_counted_over_the_examples():
    batch = inputs()["x"]
    seen = layer_inputs(model(), [{"x": batch[:5]}, {"x": batch[5:]}])
    assert set(seen) == {"x", "product"}
    assert seen["x"].vectors == 20
    np.testing.assert_allclose(seen["x"].gram, batch.T @ batch, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(seen["x"].lowest, batch.min(0))
    np.testing.assert_allclose(seen["x"].highest, batch.max(0))


def test_an_outlier_is_divided_and_the_outputs_stay():
    smoothed, example = model(), inputs(100.0)
    seen = layer_inputs(smoothed, [example])
    smooth(smoothed, seen)
    onnx.checker.check_model(smoothed, full_check=True)
    expected, found = (
        onnxruntime.InferenceSession(each.SerializeToString()).run(None, example)[0] for each in (model(), smoothed)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
    assert [node.input[0] for node in products(smoothed)][:2] == ["x_smooth", "x_smooth"]
    # What is known of the divided inputs is what the smoothed model takes in.
    again = layer_inputs(smoothed, [example])["x_smooth"]
    np.testing.assert_allclose(seen["x_smooth"].gram, again.gram, rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(seen["x_smooth"].highest, again.highest, rtol=1e-4)
    spread = seen["x_smooth"].highest
    assert 3 * spread.max() / np.median(spread) < seen["x"].highest.max() / np.median(seen["x"].highest)


@pytest.mark.parametrize(("outlier", "shared"), [(1.0, False), (100.0, True)])
def test_even_inputs_and_shared_weights_stay(outlier, shared):
    smoothed = model(shared)
    smooth(smoothed, layer_inputs(smoothed, [inputs(outlier)]))
    assert "x_smooth" not in {name for node in smoothed.graph.node for name in node.input}


def test_smoothing_lessens_the_error_of_int8():
    """As measured with inputs rounded to 255 steps and weights to 129."""
    weights = np.random.default_rng(2).normal(size=(WIDTH, 5)).astype(np.float32)
    values = inputs(100.0)["x"]
    factors = smoothing_factors(weights, layer_inputs(model(), [{"x": values}])["x"])

    def error(factors):
        divided, grown = values / factors, weights * factors[:, None]
        step, steps = (divided.max() - divided.min()) / 255, np.abs(grown).max(0) / 64
        rounded = np.rint(divided / step) * step @ (np.rint(grown / steps) * steps)
        return np.square(rounded - values @ weights).mean()

    assert error(factors) < 0.5 * error(np.ones(WIDTH, np.float32))


def test_an_input_that_the_examples_do_not_have_is_not_made_larger_than_others():
    weights = np.random.default_rng(2).normal(size=(WIDTH, 5)).astype(np.float32)
    values = inputs(100.0)["x"]
    values[:, 5] = 0
    factors = smoothing_factors(weights, layer_inputs(model(), [{"x": values}])["x"])
    assert 1 / factors[5] < 3 * np.median(1 / factors)
