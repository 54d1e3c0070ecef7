"""A classifier as an ONNX file, in float32 and with weights of 8 bits."""

import errno
import inspect
import logging
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import torch
from transformers import PreTrainedModel

from pipeline.compute.batching import Batch
from pipeline.models.forward_shortcuts import last_layer_at_first

OPSET = 20
"""Of ONNX, what onnxruntime has known since 1.17 (2024)."""


def to_onnx(model: PreTrainedModel, example: Batch, file: Path) -> None:
    """Write a classifier in float32: the inputs of `example` by name, any number of texts and tokens; out: logits.

    The same weights give the same bytes. `example` has two texts or more, padded; what the model does not read of it
    is no input.
    """
    read = inspect.signature(model.forward).parameters
    example = {name: values for name, values in example.items() if name in read}
    sizes = dict.fromkeys(range(2), torch.export.Dim.DYNAMIC)
    with _quiet(), torch.inference_mode(), last_layer_at_first(model):
        made = torch.onnx.export(
            model.cpu().eval(),
            kwargs={name: values.cpu() for name, values in example.items()},
            input_names=list(example),
            output_names=["logits"],
            dynamic_shapes=dict.fromkeys(example, sizes),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    if made is None:
        raise RuntimeError("torch.onnx.export made nothing")
    _save(made.model_proto, file)


def to_int8(source: Path, file: Path) -> None:
    """Write a float32 file with weights of 8 bits, a scale for each row, activations quantised as they come.

    Of the 8 bits 7 are used: on processors without VNNI the sums of 8-bit products would overflow their 16 bits.
    Raises OSError if there may be no room for what is written on the way.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # onnx does not notice that its model did not get whole onto the disk, and goes on with what it reads there.
    if shutil.disk_usage(file.parent).free < 3 * source.stat().st_size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file.parent))
    with _quiet(), TemporaryDirectory(dir=file.parent) as scratch:
        made = Path(scratch) / "int8.onnx"
        quantize_dynamic(source, made, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True)
        _save(onnx.load(made), file)


def _save(proto: onnx.ModelProto, file: Path) -> None:
    """Save without the notes on where in whose code each node was made."""
    graph = proto.graph
    for part in (*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
    onnx.save(proto, file)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep in what the converters say of themselves."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
