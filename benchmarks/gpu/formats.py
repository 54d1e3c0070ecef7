"""The number formats in which models compute their matrix products, and how fast a device is with each."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from benchmarks.speed import flops
from pipeline.compute.precision import VARIABLE

LARGE = 8192
"""Rows and columns of the matrices on a GPU, which reaches its highest rate with large ones."""
TIMES = 10


def formats_of(device: torch.device) -> list[str]:
    """What the device is measured in. TF32 is float32 whose factors are rounded to 10 bits, and GPUs alone have it."""
    return ["float32", "tf32", "bfloat16"] if device.type == "cuda" else ["float32", "bfloat16"]


@contextmanager
def variable(name: str, value: str) -> Iterator[None]:
    """Inside, an environment variable has this value."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@contextmanager
def computing_in(number: str) -> Iterator[None]:
    """Inside, the pipeline's models compute in a format of `formats_of`."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if number == "tf32" else "highest")
    try:
        with variable(VARIABLE, "bfloat16" if number == "bfloat16" else "float32"):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def matrix_rate(device: torch.device, number: str) -> float:
    """Operations a second of a product of large matrices of random numbers; a multiply-add counts as two."""
    size = LARGE if device.type == "cuda" else flops.SIZE
    dtype = torch.bfloat16 if number == "bfloat16" else torch.float32
    rng = torch.Generator(device).manual_seed(0)
    a, b = (torch.rand(size, size, dtype=dtype, device=device, generator=rng) for _ in range(2))
    with computing_in(number):
        # The first products choose a kernel and raise the clock.
        for _ in range(3):
            a @ b
        wait(device)
        start = time.perf_counter()
        for _ in range(TIMES):
            a @ b
        wait(device)
    return TIMES * 2.0 * size**3 / (time.perf_counter() - start)


def wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
