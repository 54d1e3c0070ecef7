"""Quantisation of an ONNX file to int8, by examples of its inputs; tables of embeddings by row."""

import errno
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pipeline.compute.batching import Inputs
from pipeline.serving.conversion import quiet_converters, save
from pipeline.serving.layer_inputs import layer_inputs
from pipeline.serving.rounding import round_layers
from pipeline.serving.smoothing import smooth


def to_int8(source: Path, file: Path, examples: Iterable[Inputs]) -> None:
    """Quantise a float32 ONNX file: int8 weights and embeddings with a scale for each row, activations at run time.

    Weights use 7 of the 8 bits: on processors without VNNI the 16-bit sums of 8-bit products would overflow.

    Args:
        examples: inputs without padding, such as the model will get; they decide what is
            divided (`smooth`) and how weights are rounded (`round_weights`).

    Raises OSError if the disk may be too full for the temporary files.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.registry import IntegerOpsRegistry

    # onnx does not notice that its model was written incompletely, and continues with the part it reads back.
    if shutil.disk_usage(file.parent).free < 4 * source.stat().st_size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file.parent))
    exact = onnx.load(source)
    inputs = layer_inputs(exact, examples)
    smooth(exact, inputs)
    # quantize_dynamic has one scale for a whole table.
    all_but_tables = [name for name in IntegerOpsRegistry if name != "Gather"]
    with quiet_converters(), TemporaryDirectory(dir=file.parent) as scratch:
        smoothed, quantised = (Path(scratch) / name for name in ("smoothed.onnx", "int8.onnx"))
        onnx.save(exact, smoothed)
        quantize_dynamic(
            smoothed,
            quantised,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            op_types_to_quantize=all_but_tables,
            nodes_to_exclude=_last_layer(exact.graph),
        )
        model = onnx.load(quantised)
    round_layers(model, exact, inputs)
    _quantise_tables(model)
    save(model, file)


def _last_layer(graph: onnx.GraphProto) -> list[str]:
    """Names of the nodes of the layer that gives the logits: few weights, whose inputs may differ a hundredfold."""
    made_by = {output: node for node in graph.node for output in node.output}
    last = made_by.get("logits")
    nodes = [last, *(made_by[name] for name in last.input if name in made_by)] if last else []
    return [node.name for node in nodes if node.op_type in ("MatMul", "Gemm")]


def _quantise_tables(model: onnx.ModelProto) -> None:
    """Replace float32 tables of embeddings by int8 ones with a scale for each row, and what looks rows up in them."""
    stored = {each.name: each for each in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        table = stored.get(node.input[0]) if node.op_type == "Gather" else None
        if (
            table is None
            or table.data_type != TensorProto.FLOAT
            or len(table.dims) != 2
            or any(each.name == "axis" and each.i for each in node.attribute)
        ):
            nodes.append(node)
            continue
        name, rows, output = table.name, node.input[1], node.output[0]
        if f"{name}_by_row" not in stored:
            values = numpy_helper.to_array(table)
            scales = np.abs(values).max(1, keepdims=True) / np.float32(127)
            scales[scales == 0] = 1
            by_row = np.rint(values / scales).astype(np.int8)
            stored[f"{name}_by_row"] = numpy_helper.from_array(by_row, f"{name}_by_row")
            stored[f"{name}_row_scale"] = numpy_helper.from_array(scales, f"{name}_row_scale")
        nodes += [
            helper.make_node("Gather", [f"{name}_by_row", rows], [f"{output}_by_row"]),
            helper.make_node("Cast", [f"{output}_by_row"], [f"{output}_row_float"], to=TensorProto.FLOAT),
            helper.make_node("Gather", [f"{name}_row_scale", rows], [f"{output}_row_scale"]),
            helper.make_node("Mul", [f"{output}_row_float", f"{output}_row_scale"], [output]),
        ]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    read = {name for node in nodes for name in node.input}
    del model.graph.initializer[:]
    model.graph.initializer.extend(each for name, each in stored.items() if name in read)
