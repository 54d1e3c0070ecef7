"""Automatic mixed precision: bfloat16 on devices that are fast with it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from pipeline.errors import InputError

VARIABLE = "L2A_PRECISION"
FORMATS = ("float32", "bfloat16")


@contextmanager
def precision(device: torch.device) -> Iterator[None]:
    """Inside, matrix products are computed in the device's `number_format`.

    It is for the forward passes of models that are trained, cached or draw words; losses, the selector's rewards and
    scores are computed in float32. Raises InputError as `number_format` does.
    """
    reduced = number_format(device) == "bfloat16"
    # The gradient of the fused attention takes ten times as long in bfloat16 as in float32 on a processor.
    slow = reduced and device.type == "cpu" and torch.is_grad_enabled()
    attention = sdpa_kernel(SDPBackend.MATH) if slow else nullcontext()
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=reduced), attention:
        yield


def number_format(device: torch.device) -> str:
    """`float32` or `bfloat16`, the format of the models' matrix products: bfloat16 where it is fast.

    That is on GPUs and processors with instructions for it; `L2A_PRECISION` sets either. Raises InputError if the
    variable names another format.
    """
    asked = os.environ.get(VARIABLE)
    if asked:
        if asked not in FORMATS:
            raise InputError(f"{VARIABLE}: got {asked}; accepted: {', '.join(FORMATS)}")
        return asked
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
    return "bfloat16" if fast else "float32"
