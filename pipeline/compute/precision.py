"""Automatic mixed precision: bfloat16 on devices that are fast with it."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from pipeline.errors import InputError

VARIABLE = "L2A_PRECISION"
FORMATS = ("float32", "bfloat16")


@contextmanager
def precision(device: torch.device) -> Iterator[None]:
    """Inside, matrix products are computed in the device's `number_format`.

    It is for the forward passes of models that are trained, cached or draw words, and for what the selector's rewards
    read of the encoder; losses, the rest of the rewards and scores are computed in float32. Raises InputError as
    `number_format` does.
    """
    reduced = number_format(device) == "bfloat16"
    # On a processor the fused attention's gradient is slower in it (findings/torch-bfloat16-attention-gradient.sh).
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
        # Older versions of PyTorch do not tell.
        capabilities: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
        fast = device.type == "cpu" and bool(capabilities.get("avx512_bf16"))
    return "bfloat16" if fast else "float32"
