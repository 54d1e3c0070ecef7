"""The interface of augmentation methods: a module with a function `build`, which makes the function that draws.

A new method is a module in this package, named as the value of `augment.method`, with a function
`build(inputs: MethodInputs) -> Draw`, and a line in `pipeline.params.methods.METHODS`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol

from transformers import PreTrainedTokenizerFast

from pipeline.augment.originals import Original
from pipeline.data.texts import Texts
from pipeline.params.schema import Params

AugmentedRows = list[dict[str, object]]
"""Rows of `augmented`, without the domain."""


class Draw(Protocol):
    """Draws `samples` neighbours of each original, numbered from `offset` + 1.

    Returns the rows of `augmented` in the order of originals and samples, and counts: `not_distinct`, neighbours that
    repeat another of the same original, and `too_short`, originals that cannot be changed.
    """

    def __call__(
        self, originals: Sequence[Original], samples: int, *, offset: int
    ) -> tuple[AugmentedRows, dict[str, int]]:
        """Draw."""


@dataclass(frozen=True)
class MethodInputs:
    """What a method may use.

    Args:
        generator: folder of the masked language model.
        tokenizer: the generator's.
        training_texts: the target's.
    """

    params: Params
    generator: Path
    tokenizer: PreTrainedTokenizerFast
    training_texts: Texts


def module_name(method: str) -> str:
    """The module of a method: loaded when the method is used, so that rules do not load a model's code."""
    return f"pipeline.augment.methods.{method}"


def build(inputs: MethodInputs) -> Draw:
    """Make the function that draws for `augment.method`. Raises InputError if something the method needs is missing."""
    draw: Draw = import_module(module_name(inputs.params.augment.method)).build(inputs)
    return draw
