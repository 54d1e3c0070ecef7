"""Conversion of a classifier to ONNX."""

import inspect
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import torch
from transformers import PreTrainedModel

from pipeline.compute.batching import Inputs
from pipeline.errors import InputError, one_line
from pipeline.models.forward_shortcuts import last_layer_first_token_only
from pipeline.serving.norms import keep_apart

OPSET = 20
"""ONNX operator set, supported by onnxruntime since 1.17 (2024)."""


def to_onnx(model: PreTrainedModel, example: Inputs, file: Path) -> None:
    """Write a classifier in float32, with the inputs of `example` by name and the output `logits`.

    The number of texts and tokens is dynamic. The same weights give the same bytes.

    Args:
        example: a padded batch of at least two texts; inputs that the model does not read are left out.

    Raises InputError if torch cannot convert the model.
    """
    accepted = inspect.signature(model.forward).parameters
    example = {name: values for name, values in example.items() if name in accepted}
    dynamic = dict.fromkeys(range(2), torch.export.Dim.DYNAMIC)
    with quiet_converters(), torch.inference_mode(), last_layer_first_token_only(model), _eager_attention(model):
        try:
            program = torch.onnx.export(
                model.cpu().eval(),
                kwargs={name: values.cpu() for name, values in example.items()},
                input_names=list(example),
                output_names=["logits"],
                dynamic_shapes=dict.fromkeys(example, dynamic),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            family, cause = model.config.model_type, error.__cause__ or error
            raise InputError(
                f"student: a {family} cannot be converted to ONNX ({type(cause).__name__}: {one_line(cause)}); "
                "accepted: another family"
            ) from error
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    # Each reading of the property makes a new one.
    proto = program.model_proto
    keep_apart(proto)
    save(proto, file)


@contextmanager
def _eager_attention(model: PreTrainedModel) -> Iterator[None]:
    """Inside, attention is written out: fewer operations than the converter makes of PyTorch's own."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def save(proto: onnx.ModelProto, file: Path) -> None:
    """Save without metadata on the source code that each node came from."""
    graph = proto.graph
    for part in (*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
    onnx.save(proto, file)


@contextmanager
def quiet_converters() -> Iterator[None]:
    """Silence logging and warnings of the converters."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
