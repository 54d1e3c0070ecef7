"""What the products with weights in an ONNX model take in for some examples."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

from pipeline.compute.batching import Inputs
from pipeline.serving.onnx_model import open_session


@dataclass(frozen=True)
class LayerInputs:
    """The vectors that products with the same inputs take in."""

    vectors: int
    gram: np.ndarray
    """Their Gram matrix, the sum of their outer products, (width, width)."""
    lowest: np.ndarray
    """The least value of each entry, at most 0, (width,)."""
    highest: np.ndarray
    """The largest value of each entry, at least 0, (width,)."""


def products(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The products with a matrix of weights."""
    matrices = {each.name for each in model.graph.initializer if len(each.dims) == 2}
    return [node for node in model.graph.node if node.op_type in ("MatMul", "Gemm") and node.input[1] in matrices]


def layer_inputs(model: onnx.ModelProto, examples: Iterable[Inputs]) -> dict[str, LayerInputs]:
    """Run a float32 model; returns what its products with weights take in, by its name."""
    names = sorted({node.input[0] for node in products(model)})
    if not names:
        return {}
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    del watched.graph.output[:]
    watched.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    session = open_session(watched.SerializeToString())
    inputs = [each.name for each in session.get_inputs()]
    seen: dict[str, LayerInputs] = {}
    for example in examples:
        outputs = session.run(names, {name: np.asarray(example[name]) for name in inputs})
        for name, values in zip(names, outputs, strict=True):
            vectors = values.reshape(-1, values.shape[-1])
            count, gram = len(vectors), vectors.T @ vectors
            lowest, highest = np.minimum(vectors.min(0), 0), np.maximum(vectors.max(0), 0)
            if before := seen.get(name):
                count, gram = count + before.vectors, gram + before.gram
                lowest, highest = np.minimum(lowest, before.lowest), np.maximum(highest, before.highest)
            seen[name] = LayerInputs(count, gram, lowest, highest)
    return seen
