"""Loading encoders and tokenizers from hub ids, folders and packages, and checking their weights and heads."""

import logging
import os
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

from pipeline.addresses.resolve import resolve_model
from pipeline.errors import InputError, one_line
from pipeline.models import bilstm, pair_encoder
from pipeline.models.head_rows import output_layer, row_names, rows_by_name, take_rows
from pipeline.models.ids import check_numbering
from pipeline.models.label_scale import UNSCALED, LabelScale, last_linear
from pipeline.models.tokenization import follow_files, match_token_types, wrap_each_text
from pipeline.storage.checksums import check_sums

# With it transformers neither takes weights from somebody's pull request nor asks a service to convert pickles.
os.environ["DISABLE_SAFETENSORS_CONVERSION"] = "1"
SPARSE, FULL = "block_sparse", "original_full"
"""BigBird's attention in long texts as published, and in short ones; after its first short text in all."""
HOW_FETCHED = ("is_local", "local_files_only", "name_or_path", "_commit_hash")
"""Arguments of a tokenizer that differ with the folder or cache that it was read from, and with the network."""

logger = logging.getLogger(__name__)


def load_config(address: str | Path, key: str) -> Any:
    """Load a model's configuration. Raises InputError if there is none or its architecture is unknown.

    Its attention is full, so that the outputs of a text do not depend on those before it.
    """
    config = _from_pretrained(AutoConfig, address, key)
    if getattr(config, "attention_type", None) == SPARSE:
        config.attention_type = FULL
    return config


def load_encoder_config(address: str | Path, key: str) -> Any:
    """Load the configuration of an encoder. Raises InputError if the model is not an encoder."""
    config = load_config(address, key)
    _check_encoder(config, address, key)
    return config


def _check_encoder(config: Any, address: str | Path, key: str) -> None:
    model_type = config.model_type
    if config.is_encoder_decoder or model_type not in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        raise InputError(f"{key}: {address} is a {model_type}; accepted: an encoder, such as bert or roberta")


def load_tokenizer(address: str | Path, key: str) -> PreTrainedTokenizerFast:
    """Load a model's fast tokenizer, which cuts as its files say, and gives the token types that the model reads.

    Raises InputError if the model has no fast tokenizer, or one without a padding token.
    """
    config = load_config(address, key)
    tokenizer = _from_pretrained(AutoTokenizer, address, key)
    # If its files are missing, transformers returns a tokenizer that has only special tokens.
    if not tokenizer.is_fast or set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):
        raise InputError(f"{key}: {address} has no fast tokenizer; accepted: a folder with tokenizer.json")
    tokenizer = follow_files(tokenizer, Path(resolve_model(address, key)), key, address)
    if tokenizer.pad_token_id is None:
        raise InputError(f"{key}: the tokenizer of {address} has no padding token; accepted: an encoder's tokenizer")
    # These say how the files were reached, and save_pretrained would write them.
    for name in HOW_FETCHED:
        tokenizer.init_kwargs.pop(name, None)
    match_token_types(tokenizer, config)
    if config.model_type == pair_encoder.MODEL_TYPE:
        wrap_each_text(tokenizer, key)
    return tokenizer


def load_masked_lm(address: str | Path, key: str) -> tuple[PreTrainedModel, bool]:
    """Load a masked language model, and whether its folder has the head (otherwise the head is random)."""
    model, random_weights = _load_weights(AutoModelForMaskedLM, address, key)
    return model.eval(), not random_weights


def load_classifier(
    address: str | Path, key: str, labels: list[str] | None = None, scale: LabelScale = UNSCALED, *, head: bool = True
) -> PreTrainedModel:
    """Load an encoder with a classification head: one output for each label, or a single output for regression.

    Args:
        labels: class names in order, written into the config; empty for regression; None keeps the model's own head.
            Rows of a fine-tuned head follow the names of its classes; if it has none of these, an equal number of rows
            is taken in order, and another makes a new head.
        scale: of a regression's labels: a new head answers in their unit, near their mean.
        head: whether the rows of a fine-tuned head matter; otherwise they may be of any classes.

    Raises InputError if the model cannot be loaded, `labels` is None and the model has no head, or its head has some of
    the classes and not all.
    """
    if labels and head and (model := _with_rows_of(address, key, labels)) is not None:
        return model
    settings: dict[str, Any] = {} if labels is None else {"num_labels": 1, "problem_type": "regression"}
    if labels:
        settings = {"id2label": dict(enumerate(labels)), "label2id": {name: i for i, name in enumerate(labels)}}
        settings["problem_type"] = "single_label_classification"
    model, random_weights = _load_weights(AutoModelForSequenceClassification, address, key, **settings)
    if model.config.model_type not in (bilstm.MODEL_TYPE, pair_encoder.MODEL_TYPE):
        _check_encoder(model.config, address, key)
    if labels is None and random_weights:
        raise InputError(f"{key}: {address} has no classification head; accepted: a model that was fine-tuned")
    if labels == [] and f"{last_linear(model)[0]}.weight" in random_weights:
        scale.put_into_head(model)
    return model


def _with_rows_of(address: str | Path, key: str, labels: list[str]) -> PreTrainedModel | None:
    """A classifier with the rows of its folder's head for these classes; None if the head has no names or no weights.

    Raises InputError if the head has some of the classes and not all.
    """
    config = load_config(address, key)
    check_numbering(config, key)
    if row_names(config) == labels:
        return None
    try:
        rows, conflict = rows_by_name(config, labels, key, address), None
    except InputError as error:
        # An error only if the head has weights: a model that was never fine-tuned may name classes too.
        rows, conflict = [], error
    if rows is None:
        _log_other_classes(config, labels, key, address)
        return None
    model, random_weights = _load_weights(AutoModelForSequenceClassification, address, key)
    _check_encoder(model.config, address, key)
    output = output_layer(model)
    if random_weights if output is None else f"{output[0]}.weight" in random_weights:
        return None
    if conflict:
        raise conflict
    if output is None:
        raise InputError(
            f"{key}: the classes of {address} are {', '.join(row_names(config))}, and the rows of a "
            f"{config.model_type}'s head cannot be put into the order of the data's, {', '.join(labels)}"
        )
    take_rows(model, output[1], rows, labels)
    return model


def _log_other_classes(config: Any, labels: list[str], key: str, address: str | Path) -> None:
    """Log what becomes of a fine-tuned head whose classes have other names."""
    fine_tuned = any(name.endswith("ForSequenceClassification") for name in config.architectures or [])
    if fine_tuned and len(config.id2label) == len(labels):
        named = ", ".join(row_names(config))
        logger.warning(
            "%s: the classes of %s are %s; its head's rows are taken, in this order, for %s",
            key, address, named, ", ".join(labels),
        )  # fmt: skip


def _load_weights(auto_class: Any, address: str | Path, key: str, **options: Any) -> tuple[PreTrainedModel, list[str]]:
    """Load a model, and the names of its random weights: those of a head missing in the file or of another size.

    Raises InputError if weights of the encoder are missing, if the file has more layers than the config, or if a weight
    is NaN or infinite: transformers itself loads whatever fits from a damaged file or that of another model.
    """
    check_sums(Path(resolve_model(address, key, weights=True)), key, weights=True)
    options |= {"use_safetensors": True, "dtype": torch.float32}
    if getattr(load_config(address, key), "attention_type", None) == FULL:
        options["attention_type"] = FULL
    model, info = _from_pretrained(
        auto_class, address, key, output_loading_info=True, ignore_mismatched_sizes=True, **options
    )
    random_weights = sorted({*info["missing_keys"], *(name for name, *_ in info["mismatched_keys"])})
    # A model that is its own base model (the BiLSTM) has only its classifier as the head.
    prefix = "" if model.base_model is model else f"{model.base_model_prefix}."
    in_encoder = [
        name for name in random_weights if name.startswith(prefix) and not re.search(r"pooler|^classifier\.", name)
    ]
    if in_encoder:
        raise InputError(
            f"{key}: {address} does not hold the model that its config.json describes: {len(in_encoder)} weights of "
            f"the encoder are missing or of another size, such as {in_encoder[0]}"
        )
    if extra := [name for name in sorted(info["unexpected_keys"]) if _is_extra_layer(name, model)]:
        raise InputError(
            f"{key}: {address} does not hold the model that its config.json describes: it has more layers, such as "
            f"that of {extra[0]}"
        )
    if broken := [name for name, weight in model.named_parameters() if not weight.isfinite().all()]:
        raise InputError(f"{key}: {address} is damaged: some of its weights are NaN or infinite, such as {broken[0]}")
    return model, random_weights


def _is_extra_layer(name: str, model: PreTrainedModel) -> bool:
    """Whether a weight's name is that of a layer after the last one of the model."""
    match = re.match(r"(.*\blayers?)\.(\d+)\.", name)
    if match is None:
        return False
    stack, index = match.groups()
    modules = {module for module, _ in model.named_modules()}
    # The weights of an encoder saved without a head lack the prefix of the base model.
    stacks = {stack, f"{model.base_model_prefix}.{stack}"} & modules
    return any(f"{stack}.{index}" not in modules for stack in stacks)


def _from_pretrained(auto_class: Any, address: str | Path, key: str, **options: Any) -> Any:
    folder = resolve_model(address, key)
    try:
        with quiet():
            # Without this argument, transformers asks on the terminal whether to run code from the model's folder.
            return auto_class.from_pretrained(folder, trust_remote_code=False, **options)
    except Exception as error:
        if "custom code" in str(error):
            raise InputError(
                f"{key}: {address} needs trust_remote_code, which is not supported; "
                "accepted: an architecture that transformers has"
            ) from error
        raise InputError(f"{key}: {address} cannot be loaded ({type(error).__name__}: {one_line(error)})") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the warnings of transformers inside, and its progress bars from then on; errors still come through."""
    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity(logging.CRITICAL)
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(before)


def parameter_count(model: torch.nn.Module) -> int:
    """Number of parameters, tied ones counted once."""
    return sum(parameter.numel() for parameter in model.parameters())


def weight_bytes(folder: Path) -> int:
    """Size of a model folder's weights on disk, in bytes."""
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))
