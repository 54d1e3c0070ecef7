"""The number format of models: float32 on the CPU unless bfloat16 is asked for."""

import pytest
import torch

from pipeline.compute.environment import environment
from pipeline.compute.precision import precision
from pipeline.errors import InputError

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def unset(monkeypatch):
    monkeypatch.delenv("L2A_PRECISION", raising=False)


def product():
    with precision(CPU):
        return (torch.ones(2, 3) @ torch.ones(3, 2)).dtype


def test_the_cpu_computes_in_float32_unless_it_is_asked_for_less(monkeypatch):
    assert product() == torch.float32
    monkeypatch.setenv("L2A_PRECISION", "bfloat16")
    assert product() == torch.bfloat16
    monkeypatch.setenv("L2A_PRECISION", "float32")
    assert product() == torch.float32


@pytest.mark.parametrize("fast", [True, False])
def test_a_gpu_computes_in_bfloat16_if_it_is_fast_with_it(monkeypatch, fast):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: fast and not including_emulation)
    monkeypatch.setattr(torch, "autocast", lambda kind, dtype, enabled: (kind, dtype, enabled))
    assert precision(torch.device("cuda")) == ("cuda", torch.bfloat16, fast)
    monkeypatch.setenv("L2A_PRECISION", "float32")
    assert precision(torch.device("cuda")) == ("cuda", torch.bfloat16, False)


def test_another_format_is_refused_in_one_line(monkeypatch):
    monkeypatch.setenv("L2A_PRECISION", "fp8")
    for read in (lambda: precision(CPU), environment):
        with pytest.raises(InputError, match=r"^L2A_PRECISION: got fp8; accepted: float32, bfloat16$"):
            read()


def test_work_of_another_format_has_another_name(monkeypatch):
    as_ever = environment()
    assert "precision" not in as_ever
    monkeypatch.setenv("L2A_PRECISION", "bfloat16")
    assert environment() == as_ever | {"precision": "bfloat16"}
