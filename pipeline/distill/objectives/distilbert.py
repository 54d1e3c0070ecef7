"""DistilBERT's losses beside the soft cross-entropy (Sanh et al. 2019): cosine of hidden states, masked words."""

import torch
from torch.nn.functional import cosine_similarity, cross_entropy, gelu
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.errors import InputError

SHARE = 0.15
"""Of the tokens, hidden from the student."""


def cosine_loss(student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """One minus the cosine of the two last hidden states, token by token.

    Args:
        student, teacher: (texts, tokens, width), equal widths.
        mask: (texts, tokens), 1 where there is a token.

    Returns (texts,): the mean over each text's tokens.
    """
    real = mask.to(student.dtype)
    return ((1 - cosine_similarity(student, teacher.to(student.dtype), dim=-1)) * real).sum(1) / real.sum(1)


class MaskedLM(torch.nn.Module):
    """A masked language model over the student: BERT's head, its decoder tied to the student's word embeddings.

    The layer between them starts as the identity.
    """

    def __init__(self, student: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, seed: int) -> None:
        """Make the head; special tokens are never hidden. Raises InputError if none is there to hide others with."""
        super().__init__()
        if tokenizer.mask_token_id is None:
            raise InputError("objectives.masked_lm: the student's tokenizer has no mask token; accepted: 0")
        words, width = student.get_input_embeddings().weight.shape
        self.dense = torch.nn.Linear(student.config.hidden_size, width)
        torch.nn.init.eye_(self.dense.weight)
        torch.nn.init.zeros_(self.dense.bias)
        self.norm = torch.nn.LayerNorm(width)
        self.bias = torch.nn.Parameter(torch.zeros(words))
        self.chance = torch.Generator().manual_seed(seed)
        self.mask, self.special = tokenizer.mask_token_id, torch.tensor(tokenizer.all_special_ids)

    def hide(self, tokens: torch.Tensor) -> torch.Tensor:
        """Draw which tokens to hide, each by chance: boolean, (texts, tokens)."""
        drawn = torch.rand(tokens.shape, generator=self.chance) < SHARE
        return (drawn & ~torch.isin(tokens.cpu(), self.special)).to(tokens.device)

    def get_extra_state(self) -> torch.Tensor:
        """The random numbers, beside the weights."""
        return self.chance.get_state()

    def set_extra_state(self, state: torch.Tensor) -> None:
        """Give them back."""
        self.chance.set_state(state)

    def loss(self, student: PreTrainedModel, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Cross-entropy of hidden words in a pass of its own: (texts,), the mean over each text's; without any 0."""
        tokens = inputs["input_ids"]
        hidden = self.hide(tokens)
        states = student.base_model(**{**inputs, "input_ids": tokens.masked_fill(hidden, self.mask)}).last_hidden_state
        words = self.norm(gelu(self.dense(states[hidden])))
        logits = words @ student.get_input_embeddings().weight.T + self.bias
        missed = cross_entropy(logits, tokens[hidden], reduction="none")
        of = hidden.nonzero()[:, 0]
        total = torch.zeros(len(tokens), device=missed.device).index_add(0, of, missed)
        return total / hidden.sum(1).clamp_min(1)
