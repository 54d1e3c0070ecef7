"""GPTQ: weights rounded to int8 one after the other, each time making good what rounding has changed.

Frantar et al. 2023, *GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers*.
"""

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import numpy_helper

from pipeline.serving.layer_inputs import LayerInputs

DAMPING = 0.01
"""Share by which the squares of a layer's inputs are made larger, so that they have an inverse."""
BLOCK = 128
"""Inputs of a layer that are rounded before the others are adjusted to them."""


def round_layers(quantised: onnx.ModelProto, exact: onnx.ModelProto, inputs: Mapping[str, LayerInputs]) -> None:
    """Round the weights of all products anew, by what they are multiplied with."""
    made_by = {output: node for node in quantised.graph.node for output in node.output}
    stored = {each.name: each for each in quantised.graph.initializer}
    squares: dict[str, np.ndarray] = {}
    for node in quantised.graph.node:
        if node.op_type == "MatMulInteger" and node.input[1] in stored:
            name, quantiser = node.input[1].removesuffix("_quantized"), made_by[node.input[0]]
            # Some layers share their weights.
            squares[name] = squares.get(name, 0) + inputs[quantiser.input[0]].squares
    weights = {each.name: each for each in exact.graph.initializer}
    for name, each in squares.items():
        if name in weights:
            value = numpy_helper.to_array(weights[name])
        else:
            value = numpy_helper.to_array(weights[name.removesuffix("_Transposed")]).T
        rounded = round_weights(value, numpy_helper.to_array(stored[f"{name}_scale"]), each)
        stored[f"{name}_quantized"].CopyFrom(numpy_helper.from_array(rounded, f"{name}_quantized"))


def round_weights(weights: np.ndarray, scales: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Round a layer's weights one input after the other; those still to come make good what rounding has changed.

    Algorithm 1 of the paper. Compared with rounding to the nearest, the sum of squared differences of the outputs is
    smaller where inputs are correlated.

    Args:
        weights: (inputs, outputs).
        scales: of each output, (outputs,).
        squares: the sum over texts and tokens of the outer products of inputs, (inputs, inputs).

    Returns (inputs, outputs), int8, from -64 to 64.
    """
    left, scales = weights.astype(np.float64), scales.astype(np.float64)
    diagonal = squares.diagonal().astype(np.float64)
    damping = np.diag(np.where(diagonal > 0, DAMPING * diagonal, 1.0))
    inverse = np.linalg.cholesky(np.linalg.inv(squares + damping)).T
    rounded = np.empty(weights.shape, np.int8)
    for start in range(0, len(left), BLOCK):
        end = min(start + BLOCK, len(left))
        errors = np.empty((end - start, left.shape[1]))
        for row in range(start, end):
            rounded[row] = np.clip(np.rint(left[row] / scales), -64, 64)
            errors[row - start] = (left[row] - rounded[row] * scales) / inverse[row, row]
            left[row + 1 : end] -= np.outer(inverse[row, row + 1 : end], errors[row - start])
        left[end:] -= inverse[start:end, end:].T @ errors
    return rounded
