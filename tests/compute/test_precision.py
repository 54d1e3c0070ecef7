"""The number format of models: bfloat16 where it is fast, or what is asked for."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from pipeline.compute.environment import environment
from pipeline.compute.precision import number_format, precision
from pipeline.errors import InputError

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def slow_with_bfloat16(monkeypatch):
    """Nothing is asked for, and the processor has no instructions for it."""
    monkeypatch.delenv("L2A_PRECISION", raising=False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": False})


@pytest.fixture
def fast_with_bfloat16(slow_with_bfloat16, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": True})


def product():
    with precision(CPU):
        return (torch.ones(2, 3) @ torch.ones(3, 2)).dtype


def test_a_processor_computes_in_float32_unless_it_is_asked_for_less(monkeypatch):
    assert product() == torch.float32
    monkeypatch.setenv("L2A_PRECISION", "bfloat16")
    assert product() == torch.bfloat16


def test_a_processor_computes_in_bfloat16_if_it_is_fast_with_it(fast_with_bfloat16, monkeypatch):
    assert product() == torch.bfloat16
    monkeypatch.setenv("L2A_PRECISION", "float32")
    assert product() == torch.float32


@pytest.mark.parametrize("fast", [True, False])
def test_a_gpu_computes_in_bfloat16_if_it_is_fast_with_it(monkeypatch, fast):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: fast and not including_emulation)
    assert number_format(torch.device("cuda")) == ("bfloat16" if fast else "float32")
    monkeypatch.setenv("L2A_PRECISION", "float32")
    assert number_format(torch.device("cuda")) == "float32"


def test_another_device_computes_in_float32(fast_with_bfloat16):
    assert number_format(torch.device("mps")) == "float32"


@pytest.mark.parametrize("gradient", [True, False])
def test_in_bfloat16_attention_that_needs_a_gradient_is_not_fused(fast_with_bfloat16, gradient):
    """Its gradient is slow, on processors; without one the fused kernel is the faster."""
    states = torch.ones(1, 2, 3, 4, requires_grad=True)
    with torch.profiler.profile() as profile, torch.set_grad_enabled(gradient), precision(CPU):
        scaled_dot_product_attention(states, states, states)
    fused = "aten::_scaled_dot_product_flash_attention_for_cpu"
    assert (fused in {event.name for event in profile.events()}) != gradient


def test_another_format_is_refused_in_one_line(monkeypatch):
    monkeypatch.setenv("L2A_PRECISION", "fp8")
    for read in (precision(CPU).__enter__, environment):
        with pytest.raises(InputError, match=r"^L2A_PRECISION: got fp8; accepted: float32, bfloat16$"):
            read()


def test_work_of_another_format_has_another_name(monkeypatch):
    as_ever = environment()
    assert "precision" not in as_ever
    monkeypatch.setenv("L2A_PRECISION", "bfloat16")
    assert environment() == as_ever | {"precision": "bfloat16"}
