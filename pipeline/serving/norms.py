"""Layer normalisation in an ONNX model, kept apart from the sum before it.

onnxruntime makes one operation of the two, SkipLayerNormalization, which on a CPU takes longer than both
(`findings/onnxruntime-fused-norm-is-slower.sh` measures it). It looks for sums of three dimensions; one of four is the
same numbers in the same order, and stays.
"""

import numpy as np
import onnx
from onnx import helper, numpy_helper

AXES = "keep_apart.axes"
"""Name of the constant that adds and removes a dimension of one."""


def keep_apart(model: onnx.ModelProto) -> None:
    """Compute each sum that is normalised with one more dimension, in place; the numbers stay the same."""
    graph = model.graph
    normalised = {node.input[0] for node in graph.node if node.op_type == "LayerNormalization"}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type != "Add" or node.output[0] not in normalised:
            nodes.append(node)
            continue
        total = node.output[0]
        names = [f"{total}.{side}" for side in ("left", "right", "wide")]
        nodes += [helper.make_node("Unsqueeze", [x, AXES], [name]) for x, name in zip(node.input, names, strict=False)]
        nodes.append(helper.make_node("Add", names[:2], names[2:], name=node.name))
        nodes.append(helper.make_node("Squeeze", [names[2], AXES], [total]))
    if len(nodes) > len(graph.node):
        kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
        del graph.node[:]
        graph.node.extend(kept)
        graph.initializer.append(numpy_helper.from_array(np.array([0], dtype=np.int64), AXES))
