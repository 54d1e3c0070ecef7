"""What a tokenizer must give for a model: token types if the model reads them."""

import inspect
from typing import Any

from transformers import MODEL_MAPPING, PreTrainedTokenizerFast

TOKEN_TYPES = "token_type_ids"


def name_inputs(tokenizer: PreTrainedTokenizerFast, names: list[str]) -> None:
    """Make a tokenizer return these inputs of a model, now and when it is opened from where it is saved."""
    tokenizer.model_input_names = names
    tokenizer.init_kwargs["model_input_names"] = names


def match_token_types(tokenizer: PreTrainedTokenizerFast, config: Any) -> None:
    """Make a tokenizer return token types if the model with this config tells texts of a pair apart by them.

    The class of a tokenizer does not say it: a BERT may come with any, and transformers' PreTrainedTokenizerFast
    returns none.
    """
    names = [name for name in tokenizer.model_input_names if name != TOKEN_TYPES]
    if _reads_token_types(config, given=len(names) < len(tokenizer.model_input_names)):
        names.insert(1, TOKEN_TYPES)
    name_inputs(tokenizer, names)


def _reads_token_types(config: Any, *, given: bool) -> bool:
    """Whether a model has token types.

    Args:
        given: whether its tokenizer returns them, which decides for families whose config does not count them.
    """
    types = getattr(config, "type_vocab_size", None)
    if types is not None:
        return bool(types > 1)
    model = MODEL_MAPPING.get(type(config), None)
    return given and model is not None and TOKEN_TYPES in inspect.signature(model.forward).parameters
