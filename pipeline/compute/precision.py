"""Automatic mixed precision: bfloat16 on devices that are fast with it."""

import torch


def precision(device: torch.device) -> torch.autocast:
    """Autocast to bfloat16 on a GPU that supports it natively; float32 elsewhere."""
    fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=fast)
