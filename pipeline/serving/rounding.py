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
    """Round weights anew by what they are multiplied with; where that is unknown, they stay as they are."""
    quantisers = {node.output[0]: node for node in quantised.graph.node if node.op_type == "DynamicQuantizeLinear"}
    stored = {each.name: each for each in quantised.graph.initializer}
    weights = {each.name: each for each in exact.graph.initializer}
    taken_in: dict[str, list[LayerInputs | None]] = {}
    for node in quantised.graph.node:
        if node.op_type == "MatMulInteger":
            quantiser = quantisers.get(node.input[0])
            # Some layers share their weights.
            taken_in.setdefault(node.input[1], []).append(quantiser and inputs.get(quantiser.input[0]))
    for quantised_name, each in taken_in.items():
        name = quantised_name.removesuffix("_quantized")
        transposed = name not in weights
        weight = weights.get(name.removesuffix("_Transposed"))
        known = [found for found in each if found is not None]
        if weight is None or len(weight.dims) != 2 or len(known) < len(each):
            continue
        gram = sum((found.gram for found in known[1:]), known[0].gram)
        if np.isfinite(gram).all():
            value = numpy_helper.to_array(weight)
            scales = numpy_helper.to_array(stored[f"{name}_scale"])
            rounded = round_weights(value.T if transposed else value, scales, gram)
            stored[quantised_name].CopyFrom(numpy_helper.from_array(rounded, quantised_name))


def round_weights(weights: np.ndarray, scales: np.ndarray, gram: np.ndarray) -> np.ndarray:
    """Round a layer's weights one input after the other; those still to come make good what rounding has changed.

    Algorithm 1 of the paper. Compared with rounding to the nearest, the sum of squared differences of the outputs is
    smaller where inputs are correlated.

    Args:
        weights: (inputs, outputs).
        scales: of each output, (outputs,).
        gram: the sum over texts and tokens of the outer products of inputs, (inputs, inputs).

    Returns (inputs, outputs), int8, from -64 to 64.
    """
    left, scales = weights.astype(np.float64), scales.astype(np.float64)
    diagonal = gram.diagonal().astype(np.float64)
    damping = np.diag(np.where(diagonal > 0, DAMPING * diagonal, 1.0))
    inverse = np.linalg.cholesky(np.linalg.inv(gram + damping)).T
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
