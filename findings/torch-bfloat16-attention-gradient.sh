#!/usr/bin/env bash
#
# On a processor the gradient of PyTorch's fused attention takes several times as long in bfloat16 as in float32.
#
# Seen with: torch 2.13.0, on an EPYC with AVX-512 BF16 (no AMX), one thread. 48 texts of 24 tokens, 12 heads of width 32:
#
#     float32, fused            forward   2.6 ms, backward   6.8 ms
#     bfloat16, fused           forward   3.0 ms, backward  33.3 ms
#     bfloat16, SDPBackend.MATH forward   3.4 ms, backward   4.9 ms
#
# Matrix products of a model's layers take half as long in bfloat16 there. The forward pass of scaled_dot_product_attention
# is not slower; the backward pass of its kernel (_scaled_dot_product_flash_attention_for_cpu) is.
#
# Why it matters: torch.autocast("cpu") takes scaled_dot_product_attention to bfloat16, so whoever trains a BERT with it, as
# transformers does with bf16=True, loses in the attention what the products of the layers gain. With dropout in the
# attention PyTorch takes the other path by itself. Until it changes, train inside
# torch.nn.attention.sdpa_kernel(SDPBackend.MATH); without a gradient the fused kernel is as fast or faster.
#
# Below, one attention forward and backward, medians of fifteen. Needs bash, Python 3.11 or newer and a package index. Exits
# with 1 if the gradient in bfloat16 is not three times as slow as in float32 any more.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --quiet --disable-pip-version-check 'torch==2.13.0' numpy

cat > look.py <<'EOF2'
import statistics
import sys
import time

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

torch.set_num_threads(1)
TEXTS, HEADS, TOKENS, WIDTH = 48, 12, 24, 32
seen = torch.ones(TEXTS, 1, TOKENS, TOKENS, dtype=torch.bool)
seen[::2, ..., TOKENS // 2 :] = False


def milliseconds(number, backend):
    forward, backward = [], []
    for _ in range(15):
        states = [torch.randn(TEXTS, HEADS, TOKENS, WIDTH).to(number).requires_grad_() for _ in range(3)]
        with sdpa_kernel(backend):
            start = time.perf_counter()
            found = scaled_dot_product_attention(*states, attn_mask=seen)
            forward.append(time.perf_counter() - start)
        loss = found.float().square().sum()
        start = time.perf_counter()
        loss.backward()
        backward.append(time.perf_counter() - start)
    return 1000 * statistics.median(forward), 1000 * statistics.median(backward)


print(f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}")
measured = {}
for number in (torch.float32, torch.bfloat16):
    for backend in (SDPBackend.FLASH_ATTENTION, SDPBackend.MATH):
        forward, backward = milliseconds(number, backend)
        measured[number, backend] = backward
        print(f"{number}, {backend.name}: forward {forward:.1f} ms, backward {backward:.1f} ms")
fused = SDPBackend.FLASH_ATTENTION
sys.exit(measured[torch.bfloat16, fused] < 3 * measured[torch.float32, fused])
EOF2
if ! venv/bin/python look.py; then
  echo 'not as described any more: see the lines above' >&2
  exit 1
fi
