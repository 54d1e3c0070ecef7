"""DistilBERT's losses beside the soft cross-entropy (Sanh et al. 2019): cosine of states, masked language model."""

import torch
from torch.nn.functional import cosine_similarity, cross_entropy, gelu
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.compute.precision import precision
from pipeline.errors import InputError

MASKED = 0.15
"""Probability that a token is masked."""


def cosine_loss(student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """One minus the cosine of the two last hidden states, token by token.

    Args:
        student, teacher: (texts, tokens, width), equal widths.
        mask: (texts, tokens), 1 where there is a token.

    Returns (texts,): the mean over each text's tokens.
    """
    real = mask.to(student.dtype)
    distances = 1 - cosine_similarity(student, teacher.to(student.dtype), dim=-1)
    return (distances * real).sum(1) / real.sum(1).clamp_min(1)


class MaskedLM(torch.nn.Module):
    """A masked language model over the student: BERT's head, its decoder tied to the student's word embeddings.

    The layer between them starts as the identity.
    """

    def __init__(self, student: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
        """Make the head. Raises InputError if the tokenizer has no mask token."""
        super().__init__()
        if tokenizer.mask_token_id is None:
            raise InputError("objectives.masked_lm: the student's tokenizer has no mask token; accepted: 0")
        words, width = student.get_input_embeddings().weight.shape
        self.dense = torch.nn.Linear(student.config.hidden_size, width)
        torch.nn.init.eye_(self.dense.weight)
        torch.nn.init.zeros_(self.dense.bias)
        self.norm = torch.nn.LayerNorm(width)
        self.bias = torch.nn.Parameter(torch.zeros(words))
        self.mask, self.special = tokenizer.mask_token_id, torch.tensor(tokenizer.all_special_ids)

    def draw_mask(self, tokens: torch.Tensor) -> torch.Tensor:
        """Draw which tokens to mask, never special ones, from torch's global generator: boolean, (texts, tokens)."""
        drawn = torch.rand(tokens.shape) < MASKED
        return (drawn & ~torch.isin(tokens.cpu(), self.special)).to(tokens.device)

    def loss(self, student: PreTrainedModel, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Cross-entropy at masked tokens, in a forward pass of its own: (texts,), each text's mean; 0 without any."""
        tokens = inputs["input_ids"]
        masked = self.draw_mask(tokens)
        with precision(tokens.device):
            outputs = student.base_model(**{**inputs, "input_ids": tokens.masked_fill(masked, self.mask)})
        words = self.norm(gelu(self.dense(outputs.last_hidden_state[masked].float())))
        logits = words @ student.get_input_embeddings().weight.T + self.bias
        losses = cross_entropy(logits, tokens[masked], reduction="none")
        texts = masked.nonzero()[:, 0]
        total = torch.zeros(len(tokens), device=losses.device).index_add(0, texts, losses)
        return total / masked.sum(1).clamp_min(1)
