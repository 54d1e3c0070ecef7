"""Encoders and tokenizers from hub ids, folders and packages; what is asked of their sizes and heads."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES
from transformers.utils import logging as transformers_logging

from pipeline.addresses.hub import one_line
from pipeline.addresses.resolve import resolve
from pipeline.errors import InputError
from pipeline.models import bilstm
from pipeline.storage.checksums import check_sums


def load_config(address: str | Path, key: str) -> Any:
    """Load a model's configuration. Raises InputError if there is none or transformers does not know it."""
    return _from_pretrained(AutoConfig, address, key)


def load_encoder_config(address: str | Path, key: str) -> Any:
    """Load the configuration of an encoder. Raises InputError if it is of another kind of model."""
    config = load_config(address, key)
    _check_encoder(config, address, key)
    return config


def _check_encoder(config: Any, address: str | Path, key: str) -> None:
    kind = config.model_type
    if config.is_encoder_decoder or kind not in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        raise InputError(f"{key}: {address} is a {kind}; accepted: an encoder, such as bert or roberta")


def load_tokenizer(address: str | Path, key: str) -> PreTrainedTokenizerFast:
    """Load a model's fast tokenizer, which knows where in the text each piece stands.

    Raises InputError if the model has none, or none that can pad.
    """
    tokenizer = _from_pretrained(AutoTokenizer, address, key)
    # Where the files are missing, transformers makes up a tokenizer that knows its special tokens alone.
    if not tokenizer.is_fast or set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):
        raise InputError(f"{key}: {address} has no fast tokenizer; accepted: a folder with tokenizer.json")
    if tokenizer.pad_token_id is None:
        raise InputError(f"{key}: the tokenizer of {address} has no padding token; accepted: an encoder's tokenizer")
    # It would be saved with whether the hub was in reach.
    tokenizer.init_kwargs["local_files_only"] = False
    return tokenizer


def load_masked_lm(address: str | Path, key: str) -> tuple[PreTrainedModel, bool]:
    """Load a masked language model and say whether it came with its head (an encoder alone gets a random one)."""
    model, random = _with_weights(AutoModelForMaskedLM, address, key)
    return model.eval(), not random


def load_classifier(address: str | Path, key: str, labels: list[str] | None = None) -> PreTrainedModel:
    """Load an encoder with a classification head: one output a label, or a single one if there are no labels.

    Args:
        labels: class names in order, written into the config; empty for regression; None keeps what the model has.

    Raises InputError if the model cannot be loaded, or has no head to be kept.
    """
    names: dict[str, Any] = {} if labels is None else {"num_labels": 1, "problem_type": "regression"}
    if labels:
        names = {"id2label": dict(enumerate(labels)), "label2id": {name: i for i, name in enumerate(labels)}}
        names["problem_type"] = "single_label_classification"
    model, random = _with_weights(AutoModelForSequenceClassification, address, key, **names)
    if model.config.model_type != bilstm.NAME:
        _check_encoder(model.config, address, key)
    if labels is None and random:
        raise InputError(f"{key}: {address} has no classification head; accepted: a model that was fine-tuned")
    return model


def _with_weights(kind: Any, address: str | Path, key: str, **options: Any) -> tuple[PreTrainedModel, list[str]]:
    """Load a model and name its weights that are random: those of a head that it lacks, or has for other classes.

    Raises InputError if there are others, if the file has layers that the config has not, or numbers that are none: of
    a file that is damaged or another model's, transformers takes what fits.
    """
    check_sums(Path(resolve(address, key)), key, weights=True)
    options |= {"use_safetensors": True, "dtype": torch.float32}
    model, info = _from_pretrained(
        kind, address, key, output_loading_info=True, ignore_mismatched_sizes=True, **options
    )
    random = sorted({*info["missing_keys"], *(name for name, *_ in info["mismatched_keys"])})
    # A model that is its own base has nothing but its last layer for a head.
    encoder = "" if model.base_model is model else f"{model.base_model_prefix}."
    inside = [name for name in random if name.startswith(encoder) and not re.search(r"pooler|^classifier\.", name)]
    if inside:
        raise InputError(
            f"{key}: {address} does not hold the model that its config.json describes: {len(inside)} weights of the "
            f"encoder are missing or of another size, such as {inside[0]}"
        )
    if more := [name for name in sorted(info["unexpected_keys"]) if _is_layer_beyond(name, model)]:
        raise InputError(
            f"{key}: {address} does not hold the model that its config.json describes: it has more layers, such as "
            f"that of {more[0]}"
        )
    if broken := [name for name, weight in model.named_parameters() if not weight.isfinite().all()]:
        raise InputError(f"{key}: {address} is damaged: some of its weights are no numbers, such as {broken[0]}")
    return model, random


def _is_layer_beyond(name: str, model: PreTrainedModel) -> bool:
    """Whether a weight belongs to a layer that a stack of the model ends before."""
    found = re.match(r"(.*\blayers?)\.(\d+)\.", name)
    if found is None:
        return False
    modules = {inside for inside, _ in model.named_modules()}
    # Those of an encoder that was saved alone lack its name.
    stacks = {found[1], f"{model.base_model_prefix}.{found[1]}"} & modules
    return any(f"{stack}.{found[2]}" not in modules for stack in stacks)


def _from_pretrained(kind: Any, address: str | Path, key: str, **options: Any) -> Any:
    place = resolve(address, key)
    try:
        with quiet():
            # Left out, transformers would ask at the terminal whether to run code that came with the model.
            return kind.from_pretrained(place, trust_remote_code=False, **options)
    except Exception as error:
        if "custom code" in str(error):
            raise InputError(
                f"{key}: {address} wants code of its own to be run; accepted: an architecture that transformers has"
            ) from None
        raise InputError(f"{key}: {address} cannot be loaded ({type(error).__name__}: {one_line(error)})") from None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from printing what its loading reports; errors still come through."""
    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity(logging.CRITICAL)
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(before)


def parameter_count(model: torch.nn.Module) -> int:
    """Number of parameters, tied ones once."""
    return sum(parameter.numel() for parameter in model.parameters())


def weight_bytes(folder: Path) -> int:
    """Bytes of a model folder's weights on disk."""
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))
