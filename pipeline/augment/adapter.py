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
from pipeline.compute.batching import padded
from pipeline.compute.progress import track
from pipeline.errors import InputError
from pipeline.models.forward_shortcuts import head_only_at
from pipeline.params.models import Generator
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.optimizer import Training


def with_adapter(model: PreTrainedModel, rank: int) -> PeftModel:
    """Freeze a masked language model but for a low-rank addition to its encoder's linear layers, and its head.

    The decoder stays tied to the frozen word embeddings; the head's other weights, and the encoder's biases and
    norms, are trained whole.
    """
    linear = [f"{model.base_model_prefix}.{name}" for name, module in model.base_model.named_modules()
              if isinstance(module, torch.nn.Linear)]  # fmt: skip
    with warnings.catch_warnings():
        # peft 0.21 asks transformers 5.23 by a name that goes away; a user can do nothing about that.
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`", category=FutureWarning)
        adapted = get_peft_model(model, LoraConfig(r=rank, lora_alpha=rank, lora_dropout=0.0, target_modules=linear))
    embeddings = model.get_input_embeddings().weight
    encoder = {id(parameter) for parameter in model.base_model.parameters()}
    for parameter in model.parameters():
        if parameter.ndim == 1 or (id(parameter) not in encoder and parameter is not embeddings):
            parameter.requires_grad_(True)
    return adapted


def save_adapter(adapted: PeftModel, path: Path) -> None:
    """Write the trained weights as float16 safetensors; the metadata tell the model they belong to."""
    weights = {name: parameter.detach().half().contiguous() for name, parameter in _trained(adapted)}
    save_file(weights, path, metadata={"embeddings": _embeddings_hash(adapted.base_model.model)})


def load_adapter(model: PreTrainedModel, path: Path, key: str) -> PreTrainedModel:
    """Add a saved adapter to the encoder it was trained on and return one plain masked language model.

    Raises InputError if the file is missing or was made for another model.
    """
    if not path.is_file():
        raise InputError(f"{key}: no such adapter file: {path}")
    try:
        weights = load_file(path)
        with safe_open(path, "pt") as file:
            trained_on = (file.metadata() or {}).get("embeddings")
    except Exception as error:
        raise InputError(f"{key}: {path} is no safetensors file ({error})") from None
    first = [weight for name, weight in weights.items() if "lora_A" in name]
    if not first:
        raise InputError(f"{key}: {path} holds no low-rank weights; accepted: a file the generator stage trained")
    adapted = with_adapter(model, rank=first[0].shape[0])
    expected = {name: parameter.shape for name, parameter in _trained(adapted)}
    if expected != {name: weight.shape for name, weight in weights.items()}:
        raise InputError(f"{key}: {path} was trained on another model: its weights have other names or sizes")
    if trained_on != _embeddings_hash(model):
        raise InputError(
            f"{key}: {path} was trained on another model of these sizes; accepted: the very model it was trained on"
        )
    with torch.no_grad():
        for name, parameter in _trained(adapted):
            parameter.copy_(weights[name])
    return merge(adapted)


def _embeddings_hash(model: PreTrainedModel) -> str:
    """32 hex digits of the word embeddings, which training an adapter leaves and fine-tuning a model does not."""
    weights = model.get_input_embeddings().weight.detach().float().cpu().numpy()
    return blake2b(weights.tobytes(), digest_size=16).hexdigest()


def merge(adapted: PeftModel) -> PreTrainedModel:
    """Fold the low-rank weights into the layers they were added to."""
    return adapted.merge_and_unload().eval()


def _trained(adapted: PeftModel) -> list[tuple[str, torch.nn.Parameter]]:
    return [(name, parameter) for name, parameter in adapted.named_parameters() if parameter.requires_grad]


def train(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    texts: list[str],
    params: Generator,
    seed: int,
    checkpoint: Checkpoint | None = None,
) -> PeftModel:
    """Train head and low-rank weights to guess masked tokens; every masked token becomes the mask, as in sampling.

    Args:
        texts: unlabelled sentences, a new order each pass through them.
        checkpoint: where to go on from, and to leave the state now and then.

    Returns the model with its trained addition, not yet merged. Raises InputError if the loss is no longer finite.
    """
    torch.manual_seed(seed)
    place = distributed.device()
    # Dropout stays off: each sentence is seen about once, so there is nothing to guard against.
    adapted = with_adapter(model, params.rank).to(place).eval()
    trained = [parameter for _, parameter in _trained(adapted)]
    optimizer = torch.optim.AdamW(trained, lr=params.learning_rate, weight_decay=0.0, betas=(0.9, 0.98))
    rise = max(1, round(params.warmup * params.steps))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / rise, 0.5 + 0.5 * math.cos(math.pi * min(1.0, step / params.steps)))
    )
    training = Training(adapted, optimizer, schedule)
    draw = np.random.default_rng(seed)
    batches = _batches(tokenizer, texts, params, draw)
    done, last = 0, 0.0
    if saved := checkpoint.load() if checkpoint else None:
        training.restore(saved[0])
        done, last = saved[1]["steps"], saved[1]["loss"]
    for _ in range(done):
        # Drawing the batches that went before again costs little, and leaves the random numbers where they were.
        _masked(next(batches), tokenizer, params, draw)
    progress = track(range(done, params.steps), "generator", unit="step", done=done)
    for step in progress:
        tokens, attention, masked, wanted = _masked(next(batches), tokenizer, params, draw)
        mine, own = distributed.local_rows(range(len(tokens)))
        part = distributed.loss_scale(int(masked[mine[:own]].sum()), len(wanted))
        wanted = wanted[torch.isin(masked.nonzero()[:, 0], torch.from_numpy(mine))].to(place)
        tokens, attention, masked = (tensor[mine].to(place) for tensor in (tokens, attention, masked))
        with head_only_at(model, masked):
            logits = adapted(input_ids=tokens, attention_mask=attention).logits
        loss = cross_entropy(logits, wanted) * part
        training.step(loss)
        last = distributed.all_reduce_sum(loss.item())
        if step % 20 == 0:
            progress.set_postfix(loss=f"{last:.3f}")
        if checkpoint and checkpoint.due:
            checkpoint.save(training.state(), {"steps": step + 1, "loss": last})
    if params.steps and not math.isfinite(sum(float(weight.detach().sum()) for weight in trained) + last):
        rate = f"generator.learning_rate: got {params.learning_rate}"
        raise InputError(f"{rate}, with which the loss is no longer a number; accepted: a lower one")
    return adapted


@torch.inference_mode()
def masked_accuracy(
    model: torch.nn.Module, tokenizer: PreTrainedTokenizerFast, texts: list[str], params: Generator, seed: int
) -> float:
    """Share of masked tokens the model guesses: `params.mask` of each text's tokens masked at once, one pass."""
    place = distributed.device()
    model.to(place)
    draw = np.random.default_rng(seed)
    encoded = sorted(_encode(tokenizer, texts, params.max_length), key=len)
    right = total = 0
    for start in track(range(0, len(encoded), params.batch_size), "measure", unit="batch"):
        batch = _masked(encoded[start : start + params.batch_size], tokenizer, params, draw)
        tokens, attention, masked, wanted = (tensor.to(place) for tensor in batch)
        with head_only_at(model, masked):
            logits = model(input_ids=tokens, attention_mask=attention).logits
        right += int((logits.argmax(-1) == wanted).sum())
        total += len(wanted)
    return right / max(1, total)


def _encode(tokenizer: PreTrainedTokenizerFast, texts: list[str], max_length: int) -> list[list[int]]:
    return tokenizer(texts, truncation=True, max_length=max_length, return_attention_mask=False,
                     return_token_type_ids=False)["input_ids"]  # fmt: skip


def _batches(
    tokenizer: PreTrainedTokenizerFast, texts: list[str], params: Generator, draw: np.random.Generator
) -> Iterator[list[list[int]]]:
    """Endless batches of sentences of like length: sorted within a window of 32 batches, served in random order."""
    window = 32 * params.batch_size
    while True:
        order = draw.permutation(len(texts))
        for start in range(0, len(order), window):
            encoded = sorted(
                _encode(tokenizer, [texts[i] for i in order[start : start + window]], params.max_length), key=len
            )
            starts = np.arange(0, len(encoded), params.batch_size)
            for first in draw.permutation(starts):
                yield encoded[first : first + params.batch_size]


def _masked(
    encoded: list[list[int]], tokenizer: PreTrainedTokenizerFast, params: Generator, draw: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Pad a batch and mask a share of each text's tokens, at least one: tokens, attention, masked, wanted tokens."""
    tokens, attention = padded(encoded, tokenizer.pad_token_id)
    special = torch.isin(tokens, torch.tensor(tokenizer.all_special_ids))
    scores = torch.from_numpy(draw.random(tokens.shape)).masked_fill(special, 2.0)
    quota = ((~special).sum(1, keepdim=True) * params.mask).round().clamp(min=1)
    masked = (scores.argsort(1).argsort(1) < quota) & ~special
    wanted = tokens[masked]
    return tokens.masked_fill(masked, tokenizer.mask_token_id), attention, masked, wanted
