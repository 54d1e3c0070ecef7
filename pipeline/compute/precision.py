"""The number format a device computes fast in."""

import torch


def precision(place: torch.device) -> torch.autocast:
    """Inside, products are computed in bfloat16 where that is fast; a CPU stays in float32."""
    fast = place.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(place.type, dtype=torch.bfloat16, enabled=fast)
