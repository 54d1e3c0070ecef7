"""Automatic mixed precision: bfloat16 on devices that are fast with it."""

import os

import torch

from pipeline.errors import InputError

VARIABLE = "L2A_PRECISION"
FORMATS = ("float32", "bfloat16")


def precision(device: torch.device) -> torch.autocast:
    """Autocast to bfloat16 on a GPU that supports it natively; float32 elsewhere. `L2A_PRECISION` sets either.

    It is for the forward passes of models that are trained, cached or draw words; losses, the selector's rewards and
    scores are computed in float32. Raises InputError if the variable names another format.
    """
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=number_format(device) == "bfloat16")


def number_format(device: torch.device) -> str:
    """`float32` or `bfloat16`, the format of the models' matrix products. Raises InputError as `precision` does."""
    asked = os.environ.get(VARIABLE)
    if asked:
        if asked not in FORMATS:
            raise InputError(f"{VARIABLE}: got {asked}; accepted: {', '.join(FORMATS)}")
        return asked
    fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bfloat16" if fast else "float32"
