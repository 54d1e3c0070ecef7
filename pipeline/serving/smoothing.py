"""SmoothQuant: inputs of products divided by factors that go into the weights, so that int8 suits both.

Xiao et al. 2023, *SmoothQuant: Accurate and Efficient Post-Training Quantization for Large Language Models*.
"""

from collections import Counter

import numpy as np
import onnx
from onnx import helper, numpy_helper

from pipeline.serving.layer_inputs import LayerInputs, products

STRENGTHS = (0.5, 0.6, 0.7, 0.8, 0.9)
"""How much of the differences between inputs may go into the weights: alpha of Xiao et al. 2023, Eq. 4."""
WORTH = 0.5
"""The share of the expected squared error to which smoothing must bring it, as it takes time."""


def smooth(model: onnx.ModelProto, inputs: dict[str, LayerInputs]) -> None:
    """Divide the inputs of products by factors that go into their weights, where both are then closer in int8.

    All inputs of a product share one int8 scale, which its largest sets.

    Args:
        model: changed in place; its outputs stay the same.
        inputs: by name; gets what is known of the divided ones.
    """
    stored = {each.name: each for each in model.graph.initializer}
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in products(model):
        users.setdefault(node.input[0], []).append(node)
    uses = Counter(name for node in model.graph.node for name in node.input)
    for name, nodes in users.items():
        # Layers of ALBERT share their weights, which cannot go by what each takes in.
        if name not in inputs or any(node.op_type != "MatMul" or uses[node.input[1]] > 1 for node in nodes):
            continue
        weights = [numpy_helper.to_array(stored[node.input[1]]) for node in nodes]
        factors = smoothing_factors(np.concatenate(weights, 1), inputs[name])
        if factors is None:
            continue
        for node, each in zip(nodes, weights, strict=True):
            stored[node.input[1]].CopyFrom(numpy_helper.from_array(each * factors[:, None], node.input[1]))
            node.input[0] = f"{name}_smooth"
        first = next(index for index, node in enumerate(model.graph.node) if f"{name}_smooth" in node.input)
        model.graph.initializer.append(numpy_helper.from_array(1 / factors, f"{name}_factors"))
        model.graph.node.insert(first, helper.make_node("Mul", [name, f"{name}_factors"], [f"{name}_smooth"]))
        before = inputs[name]
        inputs[f"{name}_smooth"] = LayerInputs(
            before.vectors,
            before.gram / np.outer(factors, factors),
            before.lowest / factors,
            before.highest / factors,
        )


def smoothing_factors(weights: np.ndarray, inputs: LayerInputs) -> np.ndarray | None:
    """The factors of Xiao et al. 2023, Eq. 4, with the strength by which the outputs have the least expected error.

    Rounding to a step has an error of variance step² / 12. An error of an input reaches the outputs by its weights, one
    of a weight by its input.

    Args:
        weights: (inputs, outputs).

    Returns (inputs,); None if the error would not be much less.
    """
    squares = inputs.gram.diagonal()
    largest = np.maximum(-inputs.lowest, inputs.highest)
    # An input that the examples hardly have may be as large as others in other texts.
    largest = np.maximum(largest, max(np.median(largest), 1e-5))
    most = np.maximum(np.abs(weights).max(1), 1e-5)

    def expected_error(factors: np.ndarray) -> float:
        grown = weights * factors[:, None]
        step = ((inputs.highest / factors).max() - (inputs.lowest / factors).min()) / 255
        steps = np.abs(grown).max(0) / 64
        of_inputs = inputs.vectors * step**2 * np.square(grown).sum()
        return float(of_inputs + np.square(steps).sum() * (squares / factors**2).sum())

    choices = [largest**alpha / most ** (1 - alpha) for alpha in STRENGTHS]
    choices = [(each / each.mean()).astype(np.float32) for each in choices]
    best = min(choices, key=expected_error)
    return best if expected_error(best) < WORTH * expected_error(np.ones_like(most)) else None
