"""Whether two tokenizers give the same tokens: then states of two models are compared token by token."""

import json

from transformers import PreTrainedTokenizerFast

SPLITTING = ("model", "added_tokens", "normalizer", "pre_tokenizer", "post_processor")
"""The parts of a tokenizer that decide its tokens."""


def same_vocabulary(one: PreTrainedTokenizerFast, other: PreTrainedTokenizerFast) -> bool:
    """Whether two tokenizers split every text into the same tokens with the same ids, and cut it at the same end."""
    first, second = (json.loads(tokenizer.backend_tokenizer.to_str()) for tokenizer in (one, other))
    return one.truncation_side == other.truncation_side and all(first[part] == second[part] for part in SPLITTING)
