"""The ways to augment that `augment.method` names, and what the stages must know of each before it runs."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticKnownError


@dataclass(frozen=True)
class Method:
    """Facts about the module of the same name in `pipeline/augment/methods`.

    Args:
        uses_generator: a masked language model fills in the words.
        needs_wordnet: it looks words up in WordNet.
        reads_training_texts: its neighbours depend on all of the target's training texts, not on their original alone.
        trains: it trains a model before it draws, which has to happen once and not in every worker.
        reads_labels: it draws by the label of the original.
    """

    uses_generator: bool = False
    needs_wordnet: bool = False
    reads_training_texts: bool = False
    trains: bool = False
    reads_labels: bool = False


METHODS = {
    "neighbours": Method(uses_generator=True),
    "eda": Method(needs_wordnet=True),
    "cbert": Method(uses_generator=True, reads_training_texts=True, trains=True, reads_labels=True),
    "tinybert": Method(uses_generator=True),
    "rules": Method(needs_wordnet=True, reads_training_texts=True),
}


def _known(name: Any) -> Any:
    if name not in list(METHODS):
        raise PydanticKnownError("literal_error", {"expected": ", ".join(METHODS)})
    return name


MethodName = Annotated[str, BeforeValidator(_known)]
"""A key of METHODS; pydantic reports any other as it does for a Literal."""
