"""A masked-LM head for an encoder that has none: low-rank weights and a head, trained on unlabelled text."""

import math
import warnings
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.compute import distributed
from pipeline.compute.batching import pad
from pipeline.compute.precision import precision
from pipeline.compute.progress import track
from pipeline.errors import InputError
from pipeline.models.forward_shortcuts import head_only_at
from pipeline.params.models import Generator
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.optimizer import TrainState
from pipeline.training.steps import remaining_batches

MOVED = 0.01
"""The most that merging may move an output, relative to the largest; it moves them by rounding, a millionth."""


def with_adapter(model: PreTrainedModel, rank: int) -> PeftModel:
    """Add low-rank weights (LoRA) to the linear layers of a masked language model's encoder and freeze the layers.

    The decoder stays tied to the frozen word embeddings; the head's other weights and the encoder's biases and
    LayerNorms are trained in full.

    Raises InputError if the encoder has no linear layers.
    """
    linear = [f"{model.base_model_prefix}.{name}" for name, module in model.base_model.named_modules()
              if isinstance(module, torch.nn.Linear)]  # fmt: skip
    if not linear:
        raise InputError(
            f"generator.model: {model.config.model_type} models have no linear layers to add low-rank weights to; "
            "accepted: another family, or a masked language model without generator.adapter and generator.steps"
        )
    with warnings.catch_warnings():
        # peft 0.21 reads a deprecated attribute of transformers 5.23; a user can do nothing about that.
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`", category=FutureWarning)
        adapted = get_peft_model(model, LoraConfig(r=rank, lora_alpha=rank, lora_dropout=0.0, target_modules=linear))
    embeddings = model.get_input_embeddings().weight
    encoder = {id(parameter) for parameter in model.base_model.parameters()}
    for parameter in model.parameters():
        if parameter.ndim == 1 or (id(parameter) not in encoder and parameter is not embeddings):
            parameter.requires_grad_(True)
    return adapted


def save_adapter(adapted: PeftModel, path: Path) -> None:
    """Write the trained weights as float16 safetensors, with a hash of the model's embeddings as metadata."""
    weights = {name: parameter.detach().half().contiguous() for name, parameter in _trained_parameters(adapted)}
    save_file(weights, path, metadata={"embeddings": _embeddings_hash(adapted.base_model.model)})


def load_adapter(model: PreTrainedModel, path: Path, key: str) -> PreTrainedModel:
    """Merge a saved adapter into the encoder it was trained on and return a plain masked language model.

    Raises InputError if the file is missing, damaged or from another model.
    """
    if not path.is_file():
        raise InputError(f"{key}: no such adapter file: {path}")
    try:
        weights = load_file(path)
        with safe_open(path, "pt") as file:
            trained_on = (file.metadata() or {}).get("embeddings")
    except Exception as error:
        raise InputError(f"{key}: {path} is not a safetensors file ({error})") from error
    low_rank = [weight for name, weight in weights.items() if "lora_A" in name]
    if not low_rank:
        raise InputError(f"{key}: {path} holds no low-rank weights; accepted: a file the generator stage trained")
    adapted = with_adapter(model, rank=low_rank[0].shape[0])
    expected = {name: parameter.shape for name, parameter in _trained_parameters(adapted)}
    if expected != {name: weight.shape for name, weight in weights.items()}:
        raise InputError(f"{key}: {path} was trained on another model: its weights have other names or sizes")
    if trained_on != _embeddings_hash(model):
        raise InputError(
            f"{key}: {path} was trained on another model of these sizes; accepted: exactly the model it was trained on"
        )
    with torch.no_grad():
        for name, parameter in _trained_parameters(adapted):
            parameter.copy_(weights[name])
    return merge(adapted, key)


def _embeddings_hash(model: PreTrainedModel) -> str:
    """32 hex digits of the word embeddings, which fine-tuning changes and training an adapter does not."""
    weights = model.get_input_embeddings().weight.detach().float().cpu().numpy()
    return blake2b(weights.tobytes(), digest_size=16).hexdigest()


def merge(adapted: PeftModel, key: str) -> PreTrainedModel:
    """Fold the low-rank weights into the layers they were added to.

    Raises InputError if the model then answers otherwise, as one does in which another part has a layer's weights, too.
    """
    before = _probe(adapted.eval())
    with warnings.catch_warnings():
        # Luke's never were, whatever its config says.
        warnings.filterwarnings("ignore", message="Input and output embeddings are no longer tied")
        model: PreTrainedModel = adapted.merge_and_unload().eval()
    moved, largest = (_probe(model) - before).abs().max(), before.abs().max()
    if not moved <= MOVED * largest:
        raise InputError(
            f"{key}: merged into a {model.config.model_type}, the low-rank weights move its outputs by {moved:.2g}, "
            f"the largest of which is {largest:.2g}; accepted: another family"
        )
    return model


@torch.inference_mode()
def _probe(model: PreTrainedModel | PeftModel) -> torch.Tensor:
    """The logits of a few tokens: (1, tokens, vocabulary)."""
    ids = torch.arange(5, 13, device=model.device)[None].remainder(model.config.vocab_size)
    with torch.random.fork_rng():
        # Reformer draws random numbers in every pass.
        torch.manual_seed(0)
        logits: torch.Tensor = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    return logits


def _trained_parameters(adapted: PeftModel) -> list[tuple[str, torch.nn.Parameter]]:
    return [(name, parameter) for name, parameter in adapted.named_parameters() if parameter.requires_grad]


def train_adapter(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    texts: list[str],
    params: Generator,
    seed: int,
    checkpoint: Checkpoint | None = None,
) -> PeftModel:
    """Train head and low-rank weights to predict masked tokens; all of them become the mask, as in sampling.

    Args:
        texts: unlabelled sentences, in a new order each pass.
        checkpoint: resumed from, and written when due.

    Returns the model with its adapter, not merged. Raises InputError if the loss is not finite.
    """
    torch.manual_seed(seed)
    # Dropout stays off: each sentence is seen about once, so there is no overfitting to prevent.
    adapted = with_adapter(model, params.rank).to(distributed.device()).eval()
    trained = [parameter for _, parameter in _trained_parameters(adapted)]
    optimizer = torch.optim.AdamW(trained, lr=params.learning_rate, weight_decay=0.0, betas=(0.9, 0.98))
    rising = max(1, round(params.warmup * params.steps))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / rising, 0.5 + 0.5 * math.cos(math.pi * min(1.0, step / params.steps)))
    )
    state = TrainState(adapted, optimizer, schedule, "generator.learning_rate")
    rng = np.random.default_rng(seed)
    batches = (_mask_batch(batch, tokenizer, params, rng) for batch in _batches(tokenizer, texts, params, rng))
    for batch in remaining_batches(state, batches, steps=params.steps, description="generator", checkpoint=checkpoint):
        state.step(_loss(model, adapted, *batch))
    return adapted


def _loss(
    model: PreTrainedModel,
    adapted: PeftModel,
    token_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    masked: torch.Tensor,
    labels: torch.Tensor,
) -> torch.Tensor:
    """The local part of the mean loss over masked tokens, scaled: its mean over all processes is the batch's loss."""
    device = distributed.device()
    local, count = distributed.local_rows(range(len(token_ids)))
    scale = distributed.loss_scale(int(masked[local[:count]].sum()), len(labels))
    labels = labels[torch.isin(masked.nonzero()[:, 0], torch.from_numpy(local))].to(device)
    token_ids, attention_mask, masked = (tensor[local].to(device) for tensor in (token_ids, attention_mask, masked))
    with precision(device), head_only_at(model, masked):
        logits = adapted(input_ids=token_ids, attention_mask=attention_mask).logits
    return cross_entropy(logits.float(), labels) * scale


@torch.inference_mode()
def masked_accuracy(
    model: torch.nn.Module, tokenizer: PreTrainedTokenizerFast, texts: list[str], params: Generator, seed: int
) -> float:
    """Fraction of masked tokens that the model predicts: `params.mask` of each text's tokens masked at once."""
    device = distributed.device()
    model.to(device)
    rng = np.random.default_rng(seed)
    encoded = sorted(_encode(tokenizer, texts, params.max_length), key=len)
    correct = total = 0
    for start in track(range(0, len(encoded), params.batch_size), "measure", unit="batch"):
        batch = _mask_batch(encoded[start : start + params.batch_size], tokenizer, params, rng)
        token_ids, attention_mask, masked, labels = (tensor.to(device) for tensor in batch)
        with head_only_at(model, masked):
            logits = model(input_ids=token_ids, attention_mask=attention_mask).logits
        correct += int((logits.argmax(-1) == labels).sum())
        total += len(labels)
    return correct / max(1, total)


def _encode(tokenizer: PreTrainedTokenizerFast, texts: list[str], max_length: int) -> list[list[int]]:
    return tokenizer(texts, truncation=True, max_length=max_length, return_attention_mask=False,
                     return_token_type_ids=False)["input_ids"]  # fmt: skip


def _batches(
    tokenizer: PreTrainedTokenizerFast, texts: list[str], params: Generator, rng: np.random.Generator
) -> Iterator[list[list[int]]]:
    """Endless batches of token ids of like length: sorted within a window of 32 batches, yielded in random order."""
    window = 32 * params.batch_size
    while True:
        order = rng.permutation(len(texts))
        for start in range(0, len(order), window):
            encoded = sorted(
                _encode(tokenizer, [texts[row] for row in order[start : start + window]], params.max_length), key=len
            )
            starts = np.arange(0, len(encoded), params.batch_size)
            for first in rng.permutation(starts):
                yield encoded[first : first + params.batch_size]


def _mask_batch(
    encoded: list[list[int]], tokenizer: PreTrainedTokenizerFast, params: Generator, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Pad a batch and mask `params.mask` of each text's tokens, at least one.

    Returns token ids, attention mask and which are masked, each (texts, longest), and the masked token ids, (masks,).
    """
    token_ids, attention_mask = pad(encoded, tokenizer.pad_token_id)
    special = torch.isin(token_ids, torch.tensor(tokenizer.all_special_ids))
    scores = torch.from_numpy(rng.random(token_ids.shape)).masked_fill(special, 2.0)
    count = ((~special).sum(1, keepdim=True) * params.mask).round().clamp(min=1)
    masked = (scores.argsort(1).argsort(1) < count) & ~special
    labels = token_ids[masked]
    return token_ids.masked_fill(masked, tokenizer.mask_token_id), attention_mask, masked, labels
