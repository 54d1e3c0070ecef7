"""What went into dropout, by what came out of it."""

from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class BeforeDropout(TorchFunctionMode):
    """Inside, remembers the last attention that went into dropout: in training, eager families return what came out."""

    def __init__(self) -> None:
        super().__init__()
        self._last: tuple[torch.Tensor, torch.Tensor] | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function of torch."""
        output = func(*args, **(kwargs or {}))
        if func is torch.nn.functional.dropout and args and output.dim() == 4:
            self._last = output, args[0]
        return output

    def undo(self, output: torch.Tensor) -> torch.Tensor:
        """What went into the last dropout if this came out of it; else the same tensor."""
        last, self._last = self._last, None
        return last[1] if last is not None and last[0] is output else output
